using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "merge" => MergeBenchmark.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: MergeKit.Benchmarks merge");
    return 2;
}
