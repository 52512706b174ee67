using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Workflows.Distillation;
using MergeKit.Core.Workflows.Learning;
using MergeKit.Inference.Workflows;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit distill export TEACHER</c> and <c>mergekit distill loss STUDENT</c>.</summary>
internal static class DistillCommand
{
    private static readonly Argument<string> Teacher = new("TEACHER") { Description = "The teacher: a model folder, or a recipe of an ensemble or merge." };
    private static readonly Argument<string> Student = new("STUDENT") { Description = "The student: as the teacher." };
    private static readonly Option<string> Data = new("--data", "-d") { Description = "JSONL with prompts and answers (as for evaluate, or any with --prompt and --target), or a text.", Required = true, HelpName = "FILE" };
    private static readonly Option<string> Prompt = new("--prompt") { Description = "Jinja template of the prompt over a line's fields.", HelpName = "TEMPLATE" };
    private static readonly Option<string> Target = new("--target") { Description = "Jinja template of the answer.", HelpName = "TEMPLATE" };
    private static readonly Option<int> Examples = new("--examples") { Description = "The most examples.", DefaultValueFactory = _ => 1000, HelpName = "N" };
    private static readonly Option<bool> Generate = new("--generate") { Description = "The teacher writes the answers itself (sequence-level distillation), greedily." };
    private static readonly Option<int> NewTokens = new("--max-new-tokens") { Description = "With --generate: the most tokens of an answer.", DefaultValueFactory = _ => 64, HelpName = "N" };
    private static readonly Option<int> Top = new("--top") { Description = "Log-probabilities kept per answer token; the mass of all others is kept as one number.", DefaultValueFactory = _ => 32, HelpName = "M" };
    private static readonly Option<double> Temperature = new("--temperature") { Description = "Of the teacher's law.", DefaultValueFactory = _ => 1, HelpName = "T" };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The folder to write.", Required = true, HelpName = "DIR" };
    private static readonly Option<string> From = new("--teacher") { Description = "The folder that 'distill export' has written.", Required = true, HelpName = "DIR" };
    private static readonly Option<double> Alpha = new("--alpha") { Description = "Weight of the divergence from the teacher, 0 to 1.", DefaultValueFactory = _ => 0.5, HelpName = "A" };

    public static Command Create()
    {
        var export = new Command("export", "Run a teacher and keep its texts and most probable tokens.")
        {
            Teacher, Data, Prompt, Target, Examples, Generate, NewTokens, Top, Temperature, Out, CommonOptions.Threads,
        };
        export.SetAction(Export);
        var loss = new Command("loss", "Compute (1 - a) CE + a T^2 KL(teacher || student) of a student; trains nothing.") { Student, From, Alpha, CommonOptions.Threads, CommonOptions.Json };
        loss.SetAction(Loss);
        return new Command("distill", "Data for distillation, and the losses of a student against it.") { export, loss };
    }

    private static int Export(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        if (parsed.GetValue(Prompt) is null != parsed.GetValue(Target) is null)
            throw new InputException("--prompt and --target go together; only one is given");
        var target = Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Out)!));
        Core.Checkpoints.Writing.OutputFolder.RequireFree(target);
        var texts = AnswerReader.ReadTexts(new ExampleSource(
            CommonOptions.Resolve(parsed, parsed.GetValue(Data)!), parsed.GetValue(Prompt), parsed.GetValue(Target), parsed.GetValue(Examples)));
        using var interrupt = new Interrupt();
        using var opened = ModelOptions.Open(parsed, CommonOptions.ResolveModel(parsed, parsed.GetValue(Teacher)!), error, interrupt.Token);
        var teacher = opened.ForEvaluation();
        if (parsed.GetValue(Generate))
            texts = Written(teacher, texts, parsed.GetValue(NewTokens), error, interrupt.Token);
        var data = TeacherExport.Run(teacher, texts, parsed.GetValue(Top), parsed.GetValue(Temperature));
        TeacherFile.Write(target, data, texts);
        output.WriteLine(FormattableString.Invariant(
            $"{target}: {data.Sequences} sequences, {data.Positions} answer tokens, the {data.Top} most probable tokens of each; {100 * data.TailLogProbs.Average(tail => Math.Exp(tail)):0.###} % of the mass lies outside"));
        return ExitCodes.Done;
    }

    /// <summary>The teacher's own answers; one that comes out empty teaches nothing and is left out.</summary>
    private static List<(string Prompt, string Text)> Written(
        EvaluatedModel teacher, IReadOnlyList<(string Prompt, string Target)> texts, int newTokens, TextWriter error, CancellationToken cancellation)
    {
        var written = texts.Select(pair => (pair.Prompt, TextWriting.Write(teacher, pair.Prompt, new WritingOptions(newTokens, ["\n"]), cancellation).Text))
            .Where(pair => pair.Text.Length > 0).ToList();
        if (written.Count == 0)
            throw new InputException("--generate: the teacher's answers are all empty");
        if (written.Count < texts.Count)
            error.WriteLine($"note: {texts.Count - written.Count} empty answers are left out");
        return written;
    }

    private static int Loss(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var data = TeacherFile.Read(CommonOptions.Resolve(parsed, parsed.GetValue(From)!));
        using var opened = ModelOptions.Open(parsed, CommonOptions.ResolveModel(parsed, parsed.GetValue(Student)!), error);
        var report = StudentLoss.Run(opened.ForEvaluation(), data, parsed.GetValue(Alpha));
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(Json(report, data, parsed.GetValue(Alpha)).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        else
            Print(report, data, parsed.GetValue(Alpha), output);
        return ExitCodes.Done;
    }

    private static void Print(StudentReport report, TeacherData data, double alpha, TextWriter output)
    {
        output.WriteLine(FormattableString.Invariant($"{report.Sequences} sequences, {report.Positions} answer tokens of {data.Teacher}; alpha {alpha}, T {data.Temperature}; nats per token"));
        var table = new TextTable("", "#value", "95 %");
        foreach (var (name, mean) in new[] { ("loss", report.Loss), ("cross entropy", report.CrossEntropy), ("KL(teacher || student)", report.Kl) })
            table.Add(name, Figure.Text(mean.Value), mean.Interval is { } interval ? Figure.Range(interval.Low, interval.High) : "-");
        table.Write(output);
        output.WriteLine(FormattableString.Invariant($"the most probable token is the teacher's at {100 * report.Agreement:0.##} % of the tokens; {100 * report.TailMass:0.###} % of the teacher's mass counts as one event"));
    }

    private static JsonObject Json(StudentReport report, TeacherData data, double alpha)
    {
        static JsonObject Mean(MeanWithInterval mean) => new() { ["value"] = mean.Value, ["interval"] = mean.Interval is { } range ? new JsonArray(range.Low, range.High) : null };
        return new JsonObject
        {
            ["teacher"] = data.Teacher,
            ["temperature"] = data.Temperature,
            ["alpha"] = alpha,
            ["loss"] = Mean(report.Loss),
            ["cross_entropy"] = Mean(report.CrossEntropy),
            ["kl"] = Mean(report.Kl),
            ["agreement"] = report.Agreement,
            ["tail_mass"] = report.TailMass,
            ["sequences"] = new JsonArray([.. report.PerSequence.Select(one => new JsonObject { ["loss"] = one.Loss, ["cross_entropy"] = one.CrossEntropy, ["kl"] = one.Kl })]),
        };
    }
}
