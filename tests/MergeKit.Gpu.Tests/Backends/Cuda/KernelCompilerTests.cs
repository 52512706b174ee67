using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda;

/// <summary>The cache of compiled kernels, its key, and messages. Needs NVRTC, but no GPU.</summary>
public class KernelCompilerTests
{
    private static readonly KernelSpec Spec = Embedding.Configure(CudaType.Float32);

    [Fact]
    public void A_second_compiler_finds_the_code_on_disk_and_makes_it_anew_where_it_was_cut_short()
    {
        using var folder = new TemporaryFolder();
        var compiled = Compiler(folder).Compile(Spec, "sm_80");
        Assert.False(compiled.FromCache);
        var cached = Compiler(folder).Compile(Spec, "sm_80");
        Assert.True(cached.FromCache);
        Assert.Equal(compiled.Image, cached.Image);
        var file = Assert.Single(Directory.GetFiles(folder.Path));
        File.WriteAllBytes(file, compiled.Image[..16]);
        Assert.Equal(compiled.Image, Compiler(folder).Compile(Spec, "sm_80").Image);
    }

    [Fact]
    public void The_key_covers_architecture_and_options()
    {
        using var folder = new TemporaryFolder();
        var compiler = Compiler(folder);
        string[] keys =
        [
            compiler.Key(Spec, "sm_80"), compiler.Key(Spec, "sm_90a"), compiler.Key(Embedding.Configure(CudaType.BFloat16), "sm_80"),
            compiler.Key(Spec with { Wgmma = [new WgmmaShape(64, false, false)] }, "sm_80"), compiler.Key(ScoreHead.Configure("score_update"), "sm_80"),
        ];
        Assert.Equal(keys.Length, keys.Distinct().Count());
        Assert.Equal(keys[0], compiler.Key(Embedding.Configure(CudaType.Float32), "sm_80"));
    }

    [Fact]
    public void A_kernel_that_does_not_compile_names_its_log()
    {
        using var folder = new TemporaryFolder();
        var broken = Spec with { Defines = [("ELEMENT_BF16", 0), ("float", 7)] };
        var exception = Assert.Throws<CudaException>(() => Compiler(folder).Compile(broken, "sm_80"));
        var log = Assert.Single(Directory.GetFiles(folder.Path));
        Assert.Contains(log, exception.Message, StringComparison.Ordinal);
        Assert.Contains("error", File.ReadAllText(log), StringComparison.Ordinal);
    }

    [Fact]
    public void Logs_are_read()
    {
        var log = CompilationLog.Parse(
            "ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\nptxas info    : Used 168 registers\n"
            + "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to ...\n");
        Assert.Equal((168, 8, 12, 16, 1), (log.Registers, log.SpillStoreBytes, log.SpillLoadBytes, log.StackBytes, log.Remarks.Count));
    }

    private static KernelCompiler Compiler(TemporaryFolder folder)
    {
        Assert.SkipUnless(KernelCompiler.IsPresent, "not run: NVRTC cannot be loaded (Debian: libnvrtc12 in non-free)");
        return new KernelCompiler(folder.Path);
    }
}
