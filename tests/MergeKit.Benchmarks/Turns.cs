using System.Diagnostics;

namespace MergeKit.Benchmarks;

/// <summary>
/// Times of several actions taken turn by turn, so that what else the machine does meets all of them alike.
/// A rate comes from the fastest turn; a ratio is the median over the turns, each against its own neighbour.
/// </summary>
internal sealed class Turns
{
    private readonly double[][] _seconds;

    /// <summary>Runs the actions, one after the other, so many times.</summary>
    public Turns(int turns, params Action[] actions)
    {
        _seconds = [.. actions.Select(_ => new double[turns])];
        for (var turn = 0; turn < turns; turn++)
        {
            for (var action = 0; action < actions.Length; action++)
            {
                var start = Stopwatch.GetTimestamp();
                actions[action]();
                _seconds[action][turn] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }
    }

    /// <summary>Seconds of an action's fastest turn.</summary>
    public double Fastest(int action) => _seconds[action].Min();

    /// <summary>How many times as fast as another an action was: the median over the turns.</summary>
    public double Ratio(int action, int other)
    {
        var ratios = _seconds[action].Zip(_seconds[other], (own, theirs) => theirs / own).Order().ToArray();
        return (ratios[(ratios.Length - 1) / 2] + ratios[ratios.Length / 2]) / 2;
    }
}
