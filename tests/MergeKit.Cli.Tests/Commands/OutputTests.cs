using System.Diagnostics;
using System.Runtime.Versioning;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Outputs that cannot be written: one clear message, the exit code of its kind, nothing under the final name.</summary>
public class OutputTests
{
    private static TemporaryFolder Scratch(int hidden = 64, int vocabulary = 160)
    {
        var scratch = TemporaryFolder.InMemory(500_000_000);
        foreach (var (model, seed) in new[] { ("a", 1), ("b", 2) })
            SyntheticModel.Llama(scratch.Join(model), seed, DType.F32, hidden: hidden, vocabulary: vocabulary);
        File.WriteAllText(scratch.Join("recipe.yml"), "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n");
        return scratch;
    }

    private static RunResult Run(TemporaryFolder scratch, string output, params string[] more) =>
        CommandLine.Run(["run", scratch.Join("recipe.yml"), output, "-C", scratch.Path, .. more]);

    [Fact]
    public void A_folder_that_is_not_empty_is_left_alone()
    {
        using var scratch = Scratch();
        Directory.CreateDirectory(scratch.Join("out"));
        File.WriteAllText(scratch.Join("out", "precious.txt"), "x");
        BadModelTests.CheckRefusal(Run(scratch, "out"), 2, "out: the output folder is not empty");
        Assert.Equal(["precious.txt"], Directory.GetFileSystemEntries(scratch.Join("out")).Select(Path.GetFileName));
        Assert.Empty(Directory.GetFileSystemEntries(scratch.Path, ".*"));
    }

    [Fact]
    public void An_empty_folder_gives_way()
    {
        using var scratch = Scratch();
        Directory.CreateDirectory(scratch.Join("out"));
        Assert.Equal(0, Run(scratch, "out/").ExitCode);
        Assert.Contains("model.safetensors", FolderContent.Read(scratch.Join("out")).Keys);
        Assert.Empty(Directory.GetFileSystemEntries(scratch.Path, ".*"));
    }

    [Theory]
    [InlineData("recipe.yml", "must be a folder, but this is a file")]
    [InlineData("recipe.yml/out", "recipe.yml")]
    [InlineData("a", "not empty")]
    [InlineData("/", "not empty")]
    [InlineData("", "OUT is empty")]
    public void A_place_that_cannot_be_a_folder_is_refused(string output, string wanted)
    {
        using var scratch = Scratch();
        var result = Run(scratch, output);
        BadModelTests.CheckRefusal(result, output.Contains('/', StringComparison.Ordinal) && output.Length > 1 ? 1 : 2, wanted);
    }

    [Fact]
    public void A_read_only_file_system_is_refused()
    {
        using var scratch = Scratch();
        using var mount = Mount.Tmpfs(scratch.Join("mounted"), "size=10m,ro");
        BadModelTests.CheckRefusal(Run(scratch, "mounted/out"), 1, "mounted", "Read-only");
    }

    [Fact]
    public void A_mount_point_is_refused_before_the_work_is_done()
    {
        using var scratch = Scratch();
        using var mount = Mount.Tmpfs(scratch.Join("mounted"), "size=10m");
        BadModelTests.CheckRefusal(Run(scratch, "mounted"), 1, "mounted", "busy");
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_folder_of_another_user_is_refused()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && File.Exists("/usr/bin/setpriv"),
            "not run: to run the program as another user takes root and setpriv");
        using var scratch = Scratch();
        if (!CanRunAsNobody(scratch))
            Assert.Skip("not run: user nobody cannot read the test program's folder");
        Directory.CreateDirectory(scratch.Join("mine"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        using var process = AsNobody("run", scratch.Join("recipe.yml"), scratch.Join("mine", "out"), "-C", scratch.Path);
        BadModelTests.CheckRefusal(process.Finish(), 1, "no permission to write here");
        Assert.Empty(Directory.GetFileSystemEntries(scratch.Join("mine")));
        File.SetUnixFileMode(scratch.Join("a", "model.safetensors"), UnixFileMode.UserRead);
        using var reading = AsNobody("plan", scratch.Join("recipe.yml"), "-C", scratch.Path);
        BadModelTests.CheckRefusal(reading.Finish(), 1, "model.safetensors: cannot be read");
    }

    [Fact]
    public void A_disk_that_is_too_small_is_found_before_anything_is_written()
    {
        using var scratch = Scratch(hidden: 256, vocabulary: 8000);
        using var mount = Mount.Tmpfs(scratch.Join("mounted"), "size=4m");
        BadModelTests.CheckRefusal(Run(scratch, "mounted/out"), 1, "the result takes", "has only");
        BadModelTests.CheckRefusal(CommandLine.Run(["plan", "recipe.yml", "-C", scratch.Path, "-o", scratch.Join("mounted", "out")]), 1, "the result takes", "has only");
        Assert.Empty(Directory.GetFileSystemEntries(mount.Path));
    }

    [Fact]
    public void What_a_killed_run_left_does_not_count_as_lacking_space()
    {
        using var scratch = Scratch(hidden: 256, vocabulary: 8000);
        using var mount = Mount.Tmpfs(scratch.Join("mounted"), "size=24m");
        using (var killed = MergeKitProcess.Start("run", scratch.Join("recipe.yml"), scratch.Join("mounted", "out"), "-C", scratch.Path))
        {
            var watch = Stopwatch.StartNew();
            while (!File.Exists(scratch.Join("mounted", ".out.mergekit-partial", "model.safetensors")) && watch.Elapsed < TimeSpan.FromSeconds(20))
                Thread.Sleep(1);
        }

        var resumed = Run(scratch, "mounted/out", "--resume");
        Assert.True(resumed.ExitCode == 0, resumed.ToString());
    }

    [Fact]
    public void Two_processes_cannot_write_one_output()
    {
        using var scratch = Scratch(hidden: 256, vocabulary: 20000);
        string[] arguments = ["run", scratch.Join("recipe.yml"), scratch.Join("out"), "-C", scratch.Path, "--hash-inputs"];
        var processes = Enumerable.Range(0, 4).Select(_ => MergeKitProcess.Start(arguments)).ToList();
        var results = processes.ConvertAll(process => process.Finish());
        processes.ForEach(process => process.Dispose());
        Assert.Single(results, result => result.ExitCode == 0);
        foreach (var result in results.Where(result => result.ExitCode != 0))
            BadModelTests.CheckRefusal(result, result.ExitCode == 1 ? 1 : 2, result.ExitCode == 1 ? "another process" : "not empty");
        Assert.Equal(0, Run(scratch, "alone", "--hash-inputs").ExitCode);
        Assert.Equal(FolderContent.Read(scratch.Join("alone"))["model.safetensors"], FolderContent.Read(scratch.Join("out"))["model.safetensors"]);
        Assert.Empty(Directory.GetFileSystemEntries(scratch.Path, ".*"));
    }

    [Fact]
    public void Ctrl_C_stops_with_130_and_can_be_gone_on_with()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "not run: signals are sent with kill(1)");
        using var scratch = Scratch(hidden: 512, vocabulary: 40000);
        string[] arguments = ["run", scratch.Join("recipe.yml"), scratch.Join("out"), "-C", scratch.Path, "--num-threads", "1"];
        // A shell that starts the tests in the background has them, and what they start, ignore this signal.
        using (var process = MergeKitProcess.StartUnder("/usr/bin/env", ["--default-signal=INT", MergeKitProcess.Program, .. arguments]))
        {
            var watch = Stopwatch.StartNew();
            while (!File.Exists(scratch.Join(".out.mergekit-partial", "journal")) && watch.Elapsed < TimeSpan.FromSeconds(60))
                Thread.Sleep(1);
            using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
                kill.WaitForExit();
            var stopped = process.Finish();
            Assert.Equal((130, ""), (stopped.ExitCode, stopped.Output));
            Assert.StartsWith("interrupted: ", Assert.Single(stopped.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }

        Assert.False(Path.Exists(scratch.Join("out")));
        Assert.Equal(0, Run(scratch, "out", "--resume").ExitCode);
        Assert.Equal(0, Run(scratch, "again/out").ExitCode);
        Assert.Equal(FolderContent.Read(scratch.Join("again", "out")), FolderContent.Read(scratch.Join("out")));
    }

    [Fact]
    public void Resuming_another_recipe_is_refused_and_discards_nothing()
    {
        using var scratch = Scratch();
        Directory.CreateDirectory(scratch.Join(".out.mergekit-partial"));
        File.WriteAllText(scratch.Join(".out.mergekit-partial", "journal"), "mergekit.net journal 1 00000000000000000000000000000000\n0 0000000000000000\n");
        BadModelTests.CheckRefusal(Run(scratch, "out", "--resume"), 2, "another recipe, other inputs or other options", "--resume");
        Assert.True(File.Exists(scratch.Join(".out.mergekit-partial", "journal")));
        Assert.Equal(0, Run(scratch, "out").ExitCode);
    }

    [UnsupportedOSPlatform("windows")]
    private static bool CanRunAsNobody(TemporaryFolder scratch)
    {
        File.SetUnixFileMode(scratch.Path, File.GetUnixFileMode(scratch.Path) | UnixFileMode.OtherExecute | UnixFileMode.OtherRead);
        using var process = AsNobody("methods");
        return process.Finish().ExitCode == 0;
    }

    private static MergeKitProcess AsNobody(params string[] arguments) =>
        MergeKitProcess.StartUnder("/usr/bin/setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", MergeKitProcess.Program, .. arguments]);
}
