using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "merge" => MergeBenchmark.Run(args[1..]),
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    "tokenizer" => TokenizerBenchmark.Run(args[1..]),
    _ => 2,
};
