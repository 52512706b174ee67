using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Inference.Searching;

/// <summary>The ensemble that every weight average is measured against: p = (1/K) sum_k p_k over models of one vocabulary. Costs K passes.</summary>
/// <param name="name">What to call it.</param>
/// <param name="members">The models; they belong to the caller.</param>
internal sealed class MeanOfProbabilities(string name, IReadOnlyList<ILanguageModel> members) : ILanguageModel
{
    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public int VocabularySize => members[0].VocabularySize;

    /// <inheritdoc/>
    public int MaxLength => members.Min(member => member.MaxLength);

    /// <inheritdoc/>
    public ISession Open() => new MeanSession([.. members.Select(member => member.Open())], VocabularySize);

    /// <inheritdoc/>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests)
    {
        var scores = members.Select(member => member.Score(requests)).ToList();
        return [.. requests.Select((_, i) => Mean([.. scores.Select(member => member[i])]))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    /// <summary>ln of the mean of the members' probabilities. That a token is every member's arg-max makes it the mean's; else it is counted as none.</summary>
    private static TokenScores Mean(IReadOnlyList<TokenScores> members) => new(
        [.. members[0].LogProbs.Select((_, t) => (float)LogMean(members.Select(member => (double)member.LogProbs[t])))],
        [.. members[0].IsArgMax.Select((_, t) => members.All(member => member.IsArgMax[t]))]);

    private static double LogMean(IEnumerable<double> values)
    {
        var all = values.ToList();
        var greatest = all.Max();
        return double.IsNegativeInfinity(greatest) ? greatest : greatest + Math.Log(all.Average(value => Math.Exp(value - greatest)));
    }

    private sealed class MeanSession(IReadOnlyList<ISession> sessions, int vocabulary) : ISession
    {
        public int Length => sessions[0].Length;

        public void Append(ReadOnlySpan<int> ids)
        {
            foreach (var session in sessions)
                session.Append(ids);
        }

        public void Truncate(int length)
        {
            foreach (var session in sessions)
                session.Truncate(length);
        }

        public void NextLogits(Span<float> logits)
        {
            var rows = sessions.Select(_ => new float[vocabulary]).ToList();
            foreach (var (session, row) in sessions.Zip(rows))
            {
                session.NextLogits(row);
                var greatest = row.Max();
                var normaliser = greatest + Math.Log(row.Sum(value => Math.Exp(value - greatest)));
                for (var id = 0; id < row.Length; id++)
                    row[id] = (float)(row[id] - normaliser);
            }

            for (var id = 0; id < vocabulary; id++)
                logits[id] = (float)LogMean(rows.Select(row => (double)row[id]));
        }

        public TokenScores Score(ReadOnlySpan<int> continuation)
        {
            var ids = continuation.ToArray();
            return Mean([.. sessions.Select(session => session.Score(ids))]);
        }

        public void Dispose()
        {
            foreach (var session in sessions)
                session.Dispose();
        }
    }
}
