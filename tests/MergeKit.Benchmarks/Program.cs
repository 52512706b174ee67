using MergeKit.Benchmarks;

return args.FirstOrDefault() switch
{
    "tokenizer" => TokenizerBenchmark.Run(args[1..]),
    "unicode-tables" => UnicodeTables.Run(args[1..]),
    _ => 2,
};
