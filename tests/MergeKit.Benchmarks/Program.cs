using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "merge" => MergeBenchmark.Run(args[1..]),
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    "engine" => EngineBenchmark.Run(args[1..]),
    "tokenizer" => TokenizerBenchmark.Run(args[1..]),
    "unicode-tables" => UnicodeTables.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: MergeKit.Benchmarks merge");
    Console.Error.WriteLine("       MergeKit.Benchmarks kernels [pool] [gemm] [decode] [attention] [model] [threads=N]");
    Console.Error.WriteLine("       MergeKit.Benchmarks engine [threads=N] [repeat=N]");
    Console.Error.WriteLine("       MergeKit.Benchmarks tokenizer | unicode-tables");
    return 2;
}
