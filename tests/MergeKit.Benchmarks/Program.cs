using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "merge" => MergeBenchmark.Run(args[1..]),
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    "gpu" => GpuKernelBenchmark.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: MergeKit.Benchmarks merge");
    Console.Error.WriteLine("       MergeKit.Benchmarks kernels [pool] [gemm] [decode] [attention] [model] [threads=N]");
    Console.Error.WriteLine("       MergeKit.Benchmarks gpu");
    return 2;
}
