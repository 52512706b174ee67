namespace MergeKit.Benchmarks;

internal static class TokenizerBenchmark
{
    public static int Run(string[] args) => 2;
}
