using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda;

/// <summary>Compiles every kernel for both architectures. Needs NVRTC, but no GPU.</summary>
public class KernelCompilationTests
{
    private static readonly string[] Architectures = ["sm_80", "sm_90a"];

    public static TheoryData<string, string> Entries => new(
        from spec in KernelCatalog.All()
        from architecture in Architectures
        where architecture == "sm_90a" || !spec.NeedsHopper
        group spec by (spec.Source + "/" + spec.Entry, architecture) into variants
        select variants.Key);

    [Theory]
    [MemberData(nameof(Entries))]
    public void Compiles_without_spills_or_remarks(string entry, string architecture)
    {
        Assert.SkipUnless(KernelCompiler.IsPresent, "not run: NVRTC cannot be loaded (Debian: libnvrtc12 in non-free)");
        using var folder = new TemporaryFolder();
        var compiler = new KernelCompiler(folder.Path);
        var variants = KernelCatalog.All().Where(spec => spec.Source + "/" + spec.Entry == entry && (architecture == "sm_90a" || !spec.NeedsHopper));
        var wrong = variants.DistinctBy(spec => spec.Key).AsParallel().SelectMany(spec => Judge(compiler, spec, architecture)).Order().ToList();
        Assert.True(wrong.Count == 0, $"NVRTC {compiler.Version}:\n{string.Join('\n', wrong)}");
    }

    [Fact]
    public void Every_source_has_a_variant_that_is_compiled() =>
        Assert.Empty(KernelSources.Sources.Keys.Except(KernelCatalog.All().Select(spec => spec.Source)));

    [Fact]
    public void Keys_tell_variants_apart()
    {
        var specs = KernelCatalog.All().ToList();
        foreach (var same in specs.GroupBy(spec => spec.Key))
            Assert.Single(same.Select(spec => string.Join(' ', spec.Options("sm_80")) + string.Join(' ', spec.Wgmma)).Distinct());
    }

    private static IEnumerable<string> Judge(KernelCompiler compiler, KernelSpec spec, string architecture)
    {
        CompiledKernel compiled;
        try
        {
            compiled = compiler.CompileAnew(spec, architecture);
        }
        catch (CudaException exception)
        {
            return [exception.Message];
        }

        var log = CompilationLog.Parse(compiled.Log);
        var wrong = log.Remarks.Select(remark => $"{spec.Key}: {remark}").ToList();
        if (log.Registers == 0)
            wrong.Add($"{spec.Key}: the log names no registers");
        if (!spec.AllowSpills && log.SpillStoreBytes + log.SpillLoadBytes > 0)
            wrong.Add($"{spec.Key}: {log.SpillStoreBytes} bytes spilled, {log.SpillLoadBytes} loaded back, {log.Registers} registers");
        return wrong;
    }
}
