using System.Diagnostics;
using MergeKit.Cli.Tests.Commands;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>Kills the real program with SIGKILL while it builds a mixture with fitted routers, and goes on: the result is the same bytes, and the
/// routers are not worked out again.</summary>
public sealed class KillAndResumeMixtureTests(ITestOutputHelper log) : IDisposable
{
    private const int Kills = 12, MostAttempts = 60, MostInARow = 4;
    private const string Taken = "the routers that the interrupted run had worked out";

    private readonly TemporaryFolder _scratch = new();

    private string Text => _scratch.Join("code.txt");

    private string Gates => _scratch.Join(".out.mergekit-partial", "gates");

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Killed_at_random_moments_a_mixture_is_the_same_bytes()
    {
        WriteRecipe();
        var watch = Stopwatch.StartNew();
        Assert.Equal(0, Run("whole").ExitCode);
        var whole = watch.Elapsed;
        var wanted = FolderContent.Read(_scratch.Join("whole", "out"));
        var (killed, attempts, outputs, taken) = (0, 0, 0, 0);
        for (; killed < Kills && attempts < MostAttempts; outputs++)
        {
            var folder = $"killed-{outputs}";
            for (var row = 0; row <= outputs % MostInARow && killed < Kills && !Path.Exists(_scratch.Join(folder, "out")); row++)
            {
                using var process = MergeKitProcess.Start(Arguments(folder));
                killed += process.EndsWithin(Moment(attempts++) * whole) ? 0 : 1;
            }

            if (!Path.Exists(_scratch.Join(folder, "out")))
            {
                var rest = Run(folder);
                Assert.True(rest.ExitCode == 0, rest.ToString());
                taken += rest.Error.Contains(Taken, StringComparison.Ordinal) ? 1 : 0;
            }

            Assert.Equal(wanted, FolderContent.Read(_scratch.Join(folder, "out")));
            Assert.Equal(["out"], Directory.EnumerateFileSystemEntries(_scratch.Join(folder)).Select(Path.GetFileName));
        }

        log.WriteLine($"{killed} kills in {attempts} attempts, {outputs} outputs compared, {taken} finished with kept routers; a whole run takes {whole.TotalMilliseconds:F0} ms");
        Assert.Equal(Kills, killed);
    }

    [Fact]
    public void Routers_are_kept_until_what_they_depend_on_changes()
    {
        WriteRecipe();
        KillOnceRoutersAreKept();
        var kept = File.ReadAllBytes(Gates);
        Assert.Contains(Taken, Finish(), StringComparison.Ordinal);
        Assert.False(File.Exists(_scratch.Join("out", "gates")));

        // Another text of the same length and time: nothing but its bytes says so.
        KillOnceRoutersAreKept();
        var (bytes, time) = (File.ReadAllBytes(Text), File.GetLastWriteTimeUtc(Text));
        Array.Reverse(bytes);
        File.WriteAllBytes(Text, bytes);
        File.SetLastWriteTimeUtc(Text, time);
        Assert.DoesNotContain(Taken, Finish(), StringComparison.Ordinal);

        // A damaged file counts as none.
        KillOnceRoutersAreKept();
        var damaged = File.ReadAllBytes(Gates);
        Assert.NotEqual(kept, damaged);
        damaged[^20] ^= 1;
        File.WriteAllBytes(Gates, damaged);
        Assert.DoesNotContain(Taken, Finish(), StringComparison.Ordinal);

        // And the user may discard them.
        KillOnceRoutersAreKept();
        Assert.DoesNotContain(Taken, Finish("--no-resume"), StringComparison.Ordinal);
    }

    /// <summary>Begins a run and kills it when the routers have been kept. Where it was faster than that, once more.</summary>
    private void KillOnceRoutersAreKept()
    {
        for (var attempt = 0; attempt < 10; attempt++)
        {
            using (var process = MergeKitProcess.Start(Arguments(".")))
            {
                while (!File.Exists(Gates) && !process.EndsSoon)
                    Thread.Sleep(1);
                process.EndsWithin(TimeSpan.Zero);
            }

            if (File.Exists(Gates))
                return;
            Directory.Delete(_scratch.Join("out"), recursive: true);
        }

        Assert.Fail("ten runs ended before they could be killed");
    }

    private string Finish(params string[] more)
    {
        var run = MergeKitProcess.Run([.. Arguments("."), .. more]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Directory.Delete(_scratch.Join("out"), recursive: true);
        return run.Error;
    }

    private RunResult Run(string folder) => MergeKitProcess.Run(Arguments(folder));

    private string[] Arguments(string folder) =>
        ["run", _scratch.Join("moe.yml"), Path.GetFullPath(_scratch.Join(folder, "out")), "--no-check", "--out-shard-size", "1MB", "--working-directory", Repository.Root];

    private static double Moment(int attempt)
    {
        var word = new uint[1];
        new CounterRandom((ulong)Stopwatch.GetTimestamp(), "moments", 0).Fill(attempt, word);
        return ((attempt * 0.6180339887498949) + (0.1 * word[0] / uint.MaxValue)) % 1;
    }

    private void WriteRecipe()
    {
        File.Copy(Path.Combine(Repository.Root, "examples", "data", "code", "zlib-header.txt"), Text);
        File.WriteAllText(_scratch.Join("moe.yml"), $"""
            base_model: examples/models/base
            gate_mode: calibrated
            calibration: {"{tokens: 4000}"}
            experts:
            - source_model: examples/models/ft-code
              data: {Text}
            - source_model: examples/models/ft-arithmetic
              data: examples/data/arithmetic/val.txt
            """);
    }
}
