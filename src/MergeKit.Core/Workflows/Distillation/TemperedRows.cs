using System.Numerics.Tensors;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Combiners;
using MergeKit.Core.Models;

namespace MergeKit.Core.Workflows.Distillation;

/// <summary>A model's laws at a temperature. A linear ensemble mixes its members' laws at that temperature; any other model's own logits are divided by it.</summary>
internal static class TemperedRows
{
    /// <summary>Opens rows.</summary>
    public static ILogitRows Open(ILanguageModel model, IReadOnlyList<ScoreRequest> requests, double temperature)
    {
        if (temperature == 1)
            return model.Rows(requests);
        return model is Ensemble { Combiner: LinearCombiner combiner } ensemble
            ? new Mixed(ensemble, combiner, [.. ensemble.Members.Select((member, k) => combiner.Reads(k) ? Open(member, requests, temperature) : null)])
            : new Divided(model.Rows(requests), (float)temperature);
    }

    private sealed class Divided(ILogitRows inner, float temperature) : ILogitRows
    {
        public int Count => inner.Count;

        public void Read(int first, Span<float> logits)
        {
            inner.Read(first, logits);
            TensorPrimitives.Divide(logits, temperature, logits);
        }

        public void Dispose() => inner.Dispose();
    }

    private sealed class Mixed(Ensemble ensemble, LinearCombiner combiner, ILogitRows?[] members) : ILogitRows
    {
        public int Count => members.First(member => member is not null)!.Count;

        public void Read(int first, Span<float> logits)
        {
            var width = ensemble.VocabularySize;
            var buffers = members.Select((member, k) => member is null ? [] : new float[ensemble.Members[k].VocabularySize]).ToArray();
            var rows = new ReadOnlyMemory<float>[members.Length];
            for (var row = 0; row < logits.Length / width; row++)
            {
                for (var k = 0; k < members.Length; k++)
                {
                    if (members[k] is null)
                        continue;
                    members[k]!.Read(first + row, buffers[k]);
                    rows[k] = buffers[k].AsMemory(0, width);
                }

                combiner.Combine<float>(default, rows, logits.Slice(row * width, width));
            }
        }

        public void Dispose()
        {
            foreach (var member in members)
                member?.Dispose();
        }
    }
}
