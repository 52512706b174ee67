using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.WriteLine("usage: MergeKit.Benchmarks kernels [pool] [gemm] [decode] [attention] [model] [threads=N]");
    return 2;
}
