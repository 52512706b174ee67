using System.CommandLine;
using MergeKit.Cli.Commands;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends.Cuda;

namespace MergeKit.Cli;

/// <summary>The command line as a function: arguments in, text out, exit code back.</summary>
public static class Application
{
    /// <summary>Runs one command line. 0: done; 1: the machine refused; 2: the input cannot be used; 3: a gate failed; 130: interrupted.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        var root = new RootCommand("Merge, mix and ensemble language models from YAML recipes, and measure the result.")
        {
            RunCommand.Create(),
            PlanCommand.Create(),
            MethodsCommand.Create(),
            InspectCommand.Create(),
            SchemaCommand.Create(),
            TokenizeCommand.Create(),
            GenerateCommand.Create(),
            LogitsCommand.Create(),
            EvaluateCommand.Create(),
            LearnCommand.Create(),
            CascadeCommand.Create(),
            StagesCommand.Create(),
            DistillCommand.Create(),
            UncertaintyCommand.Create(),
            BagCommand.Create(),
            TransplantCommand.Create(),
            ExtractLoraCommand.Create(),
            SearchCommand.Create(),
            SuggestCommand.Create(),
            ConvertCommand.Create(),
            MergeAdaptersCommand.Create(),
            StatisticsCommand.Create(),
            LayerShuffleCommand.Create(),
        };
        root.Add(CommonOptions.WorkingDirectory);
        try
        {
            var parsed = root.Parse(args.Length > 0 ? args : ["--help"]);
            if (UsageErrors.Print(parsed, error))
                return ExitCodes.Input;
            return parsed.Invoke(new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false });
        }
        catch (InputException e)
        {
            ProblemPrinter.Print(e.Problems, error);
            return ExitCodes.Input;
        }
        catch (MergeKitException e)
        {
            ProblemPrinter.Print([Problem.Error(e.Message)], error);
            return e is EnvironmentException or CudaException ? ExitCodes.Environment : ExitCodes.Input;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("interrupted: nothing was published; run the same command again to go on from here");
            return ExitCodes.Interrupted;
        }
    }
}

/// <summary>What the program returns to its caller.</summary>
internal static class ExitCodes
{
    public const int Done = 0;
    public const int Environment = 1;
    public const int Input = 2;
    public const int Gate = 3;
    public const int Interrupted = 130;
}
