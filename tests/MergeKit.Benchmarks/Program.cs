using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    "engine" => EngineBenchmark.Run(args[1..]),
    "tokenizer" => TokenizerBenchmark.Run(args[1..]),
    "unicode-tables" => UnicodeTables.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.WriteLine("usage: MergeKit.Benchmarks kernels [pool] [gemm] [decode] [attention] [model] [threads=N]");
    Console.WriteLine("       MergeKit.Benchmarks engine [threads=N] [repeat=N]");
    Console.WriteLine("       MergeKit.Benchmarks tokenizer | unicode-tables");
    return 2;
}
