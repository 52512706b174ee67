using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "merge" => MergeBenchmark.Run(args[1..]),
    "union" => UnionBenchmark.Run(args[1..]),
    "kernels" => EngineKernelBenchmark.Run(args[1..]),
    "engine" => EngineBenchmark.Run(args[1..]),
    "moe" => MoeBenchmark.Run(args[1..]),
    "ensemble" => EnsembleBenchmark.Run(args[1..]),
    "tokenizer" => TokenizerBenchmark.Run(args[1..]),
    "ensembles" => EnsembleReport.Run(args[1..]),
    "gpu" => GpuKernelBenchmark.Run(args[1..]),
    "gpu-ensemble" => GpuEnsembleBenchmark.Run(),
    "gpu-model" => GpuModelBenchmark.Run(args[1..]),
    "gpu-merge" => GpuMergeBenchmark.Run(args[1..]),
    "decompositions" => DecompositionBenchmark.Run(args[1..]),
    "search" => SearchBenchmark.Run(args[1..]),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("""
        usage: MergeKit.Benchmarks VERB [OPTIONS]
          merge [FOLDER] [--quick] [--large] [--only=JOB,...] [--program=FILE]   merges of 1 GB (10 GB) checkpoints against cat + cp + fsync
          union [FOLDER] [--quick] [--program=FILE]                            a merge of two vocabularies against the plain merge of the same weights
          kernels [pool] [gemm] [decode] [attention] [model] [threads=N]       the CPU engine's kernels against OpenBLAS and a plain read
          engine [threads=N] [repeat=N]                                        a whole model: prompt scoring and decoding
          moe [build] [gates] [score] [folder=DIR] [program=FILE]              mixtures of experts: building, fitting routers, scoring
          ensemble [combine] [members] [threads=N] [repeat=N]                  combining laws against a plain read; ensembles against their members
          tokenizer [OPTIONS]                                                  encoding of English prose with 128k tokens
          decompositions [ROWS COLUMNS] [tasks=K] [threads=N] [no-cpu]         tsv_m and iso_c of one matrix: CPU by threads, GPU, and PyTorch's torch.linalg.svd
          search MODELS TEXTS [candidates=N]                                   candidate merges a minute; greedy soup of eight
          ensembles MODELS EVAL [OUT.md] [SECTION...]                          the trained models' ensembles on held-out text, with paired intervals
          gpu [glue] [combine] [skinny] [decode] [attention] [grouped] [experts] [head] [all]   CUDA kernels in turns with PyTorch's in a Python child ([alone]: without)
          gpu compile                                                          every variant of every kernel
          gpu-merge [FOLDER] [merge] [yardstick]                               candidates of a 1B shape with three parents on the device
          gpu-ensemble                                                         ensembles on a GPU beside their members
          gpu-model [SHAPE...] [documents=N] [length=N] [steps=N] [decode] [yardstick] [files=FOLDER]   whole models on a GPU; yardstick: transformers with SDPA beside them
        """);
    return 2;
}
