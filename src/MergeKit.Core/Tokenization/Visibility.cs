using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("MergeKit.Core.Tests")]
[assembly: InternalsVisibleTo("MergeKit.Benchmarks")]
