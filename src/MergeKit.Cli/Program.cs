Console.WriteLine("mergekit");
