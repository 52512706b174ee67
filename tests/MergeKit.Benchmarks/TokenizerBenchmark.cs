using System.Diagnostics;
using System.Text.RegularExpressions;
using System.Text.Unicode;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Benchmarks;

/// <summary>Measures encoding and decoding of prose with a byte-level BPE of 128k tokens and the split of Llama 3, on one
/// core by processor time. Arguments: a file of prose (for instance the text of Debian's bible-kjv-text), and optionally the
/// file to which the tokenizer.json made here is written. Yardsticks in the same run: the generic expression matcher in place of the
/// hand-written splitter, the splitting alone by System.Text.RegularExpressions, and UTF-8 validation.</summary>
internal static class TokenizerBenchmark
{
    private const int VocabularySize = 128_000;
    private const int Passes = 7;

    /// <summary>Runs the benchmark; returns the exit code.</summary>
    public static int Run(string[] args)
    {
        if (args.Length is not (1 or 2) || !File.Exists(args[0]))
        {
            Console.Error.WriteLine("usage: tokenizer PROSE.txt [TOKENIZER.json]");
            return 2;
        }

        var text = File.ReadAllText(args[0]);
        var utf8 = System.Text.Encoding.UTF8.GetBytes(text);
        var megabytes = utf8.Length / 1e6;
        var json = SyntheticTokenizer.Json(text, VocabularySize, KnownSplits.Llama3);
        if (args.Length == 2)
            File.WriteAllText(args[1], json);
        var clock = Stopwatch.StartNew();
        var tokenizer = Tokenizer.Parse("benchmark", json);
        Console.WriteLine($"text {megabytes:F2} MB; vocabulary {tokenizer.VocabularySize}; loaded in {clock.Elapsed.TotalMilliseconds:F0} ms");
        var start = CpuSeconds();
        var ids = tokenizer.Encode(text);
        Report("encode, first pass", megabytes, CpuSeconds() - start);
        Console.WriteLine($"{ids.Length} tokens, {utf8.Length / (double)ids.Length:F2} bytes a token");

        // A group around the whole expression hides it from the list of known ones, and changes nothing else.
        var generic = Tokenizer.Parse("benchmark", SyntheticTokenizer.Json(text, VocabularySize, $"(?:{KnownSplits.Llama3})"));
        if (!generic.Encode(text).AsSpan().SequenceEqual(ids) || tokenizer.Decode(ids) != text)
            throw new InvalidOperationException("the two paths differ, or decoding does not give the text back");
        var fast = Best(() => tokenizer.Encode(text).Length);
        var slow = Best(() => generic.Encode(text).Length);
        var regex = new Regex(KnownSplits.Llama3, RegexOptions.Compiled | RegexOptions.CultureInvariant);
        var split = Best(() => regex.Count(text));
        var valid = Best(() => Enumerable.Range(0, 100).Count(_ => Utf8.IsValid(utf8))) / 100;
        Report("encode", megabytes, fast);
        Report("encode, generic expression matcher", megabytes, slow, fast);
        Report("System.Text.RegularExpressions, splitting only", megabytes, split, fast);
        Report("UTF-8 validation", megabytes, valid, fast);
        Report("decode", megabytes, Best(() => tokenizer.Decode(ids).Length));
        return 0;
    }

    private static double Best(Func<int> action) => Enumerable.Range(0, Passes).Min(_ =>
    {
        var before = CpuSeconds();
        GC.KeepAlive(action());
        return CpuSeconds() - before;
    });

    // Processor time, not time on the clock: other programs may share the core. Everything here runs on one thread.
    private static double CpuSeconds() => Environment.CpuUsage.TotalTime.TotalSeconds;

    private static void Report(string what, double megabytes, double seconds, double? encode = null)
    {
        var ratio = encode is { } fast ? $"   encode runs at {seconds / fast:F3} x this rate" : "";
        Console.WriteLine($"{what,-48} {megabytes / seconds,10:F1} MB/s{ratio}");
    }
}
