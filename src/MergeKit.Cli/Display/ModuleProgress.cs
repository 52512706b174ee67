namespace MergeKit.Cli.Display;

/// <summary>One line of progress for work that goes module by module, rewritten on a terminal and left out in a pipe.</summary>
internal static class ModuleProgress
{
    /// <summary>Says that a module is done.</summary>
    public static void Show(string module, int number, int count, TextWriter error)
    {
        if (!Console.IsErrorRedirected)
            error.Write($"\r{number}/{count} {module}\u001b[K{(number == count ? "\r\u001b[K" : "")}");
    }
}
