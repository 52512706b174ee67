using System.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Kills the real program with SIGKILL at many moments and goes on: the result is the same bytes, and never stands half made.</summary>
public class KillAndResumeTests(ITestOutputHelper log)
{
    private const int Kills = 50, VeryEarly = 5, MostInARow = 7, MostAttempts = 150;

    private static readonly string[] Methods = ["dare_ties", "ties", "linear"];

    [Fact]
    public void Killed_at_fifty_moments_the_result_is_the_same_bytes()
    {
        using var scratch = TemporaryFolder.InMemory(1_000_000_000);
        var recipes = Methods.ToDictionary(method => method, method => WriteRecipe(scratch, method));
        for (var seed = 0; seed < 3; seed++)
            SyntheticModel.Llama(scratch.Join($"m{seed}"), seed, DType.BF16, layers: 6, hidden: 512, vocabulary: 8000, inner: 1280);
        var wanted = Methods.ToDictionary(method => method, method => Whole(scratch, recipes[method], method));
        var (killed, attempts, outputs) = (0, 0, 0);
        while (killed < Kills && attempts < MostAttempts)
        {
            var method = Methods[outputs % Methods.Length];
            var output = scratch.Join($"killed-{outputs++}", "out");
            for (var row = 0; row < 1 + (outputs % MostInARow) && killed < Kills && !Path.Exists(output); row++)
                killed += Attempt(recipes[method], output, Moment(attempts++, wanted[method].Time), row > 0) ? 0 : 1;

            // What stands there now, if anything, is whole: the program was killed, or ended, after it had published.
            if (!Path.Exists(output))
                Assert.Equal(0, MergeKitProcess.Run(Arguments(recipes[method], output, outputs % 2 == 0)).ExitCode);
            Assert.Equal(wanted[method].Files, FolderContent.Read(output));
            Assert.Equal(["out"], Directory.EnumerateFileSystemEntries(Path.GetDirectoryName(output)!).Select(Path.GetFileName));
            Directory.Delete(output, recursive: true);
        }

        log.WriteLine($"{killed} kills in {attempts} attempts, {outputs} outputs compared; whole runs take {string.Join(", ", wanted.Select(whole => $"{whole.Key} {whole.Value.Time.TotalMilliseconds:F0} ms"))}");
        Assert.Equal(Kills, killed);
    }

    /// <summary>A moment of a run: the first few right after the start, the others spread evenly (by the golden ratio) and moved by chance.</summary>
    private static TimeSpan Moment(int attempt, TimeSpan whole)
    {
        if (attempt < VeryEarly)
            return 0.01 * attempt * whole;
        var word = new uint[1];
        new CounterRandom((ulong)Stopwatch.GetTimestamp(), "moments", 0).Fill(attempt, word);
        return ((attempt * 0.6180339887498949) + (0.1 * word[0] / uint.MaxValue)) % 1 * whole;
    }

    private static bool Attempt(string recipe, string output, TimeSpan moment, bool resume)
    {
        using var process = MergeKitProcess.Start(Arguments(recipe, output, resume));
        return process.EndsWithin(moment);
    }

    private static string[] Arguments(string recipe, string output, bool resume) =>
        ["run", recipe, output, "--out-shard-size", "20MB", "--random-seed", "7", "--quiet", .. resume ? new[] { "--resume" } : []];

    /// <summary>An uninterrupted run, and the time that the faster of two takes.</summary>
    private static (SortedDictionary<string, string> Files, TimeSpan Time) Whole(TemporaryFolder scratch, string recipe, string method)
    {
        var runs = Enumerable.Range(0, 2).Select(i =>
        {
            var output = scratch.Join($"whole-{method}-{i}", "out");
            var watch = Stopwatch.StartNew();
            Assert.Equal(0, MergeKitProcess.Run(Arguments(recipe, output, false)).ExitCode);
            return (Files: FolderContent.Read(output), Time: watch.Elapsed);
        }).ToList();
        Assert.Equal(runs[0].Files, runs[1].Files);
        return runs.MinBy(run => run.Time);
    }

    private static string WriteRecipe(TemporaryFolder scratch, string method)
    {
        var path = scratch.Join($"{method}.yml");
        var density = method == "linear" ? "" : ", density: 0.5";
        var start = method == "linear" ? "" : $"base_model: {scratch.Join("m0")}\n";
        File.WriteAllText(path, $$$"""
            merge_method: {{{method}}}
            {{{start}}}models:
            - {model: {{{scratch.Join("m1")}}}, parameters: {weight: 0.6{{{density}}}}}
            - {model: {{{scratch.Join("m2")}}}, parameters: {weight: 0.4{{{density}}}}}
            """);
        return path;
    }
}
