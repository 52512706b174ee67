using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Spaces;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search.Strategies;

/// <summary>Strategies over recipes that differ in numbers. Each scores the start first, so that no winner is worse than it.</summary>
internal sealed class SpaceStrategies(ISearchSpace space, SearchRecipe search, SearchSession session)
{
    private const double FirstStep = 0.2;
    private const int MostGenerationsWithoutNews = 50;
    private readonly SearchRandom _random = new(search.Seed, 0);

    /// <summary>Every combination of the variables' steps.</summary>
    public void Grid()
    {
        var total = space.Variables.Aggregate(1.0, (product, variable) => product * variable.Steps);
        if (total > search.Candidates)
            throw new InputException([Problem.Error($"the grid has {total:N0} points ({string.Join(" x ", space.Variables.Select(variable => variable.Steps))}), but 'candidates' is {search.Candidates}; "
                + "give fewer 'steps', or more 'candidates'", search.Location)]);
        var indices = new int[space.Variables.Count];
        for (var point = 0; point < (int)total; point++)
        {
            var rest = point;
            for (var i = indices.Length - 1; i >= 0; i--)
                (rest, indices[i]) = (rest / space.Variables[i].Steps, rest % space.Variables[i].Steps);
            Score([.. indices.Select((index, i) => space.Variables[i].Steps == 1 ? space.Variables[i].PositionOf(space.Variables[i].Start) : (double)index / (space.Variables[i].Steps - 1))]);
        }
    }

    /// <summary>Points drawn evenly.</summary>
    public void Random()
    {
        Score(Start());
        while (session.Left > 0)
            Score([.. space.Variables.Select(_ => _random.Uniform())]);
    }

    /// <summary>CMA-ES, begun again from the best with twice the population where it has converged (Auger and Hansen 2005).</summary>
    public void Cma()
    {
        Score(Start());
        var (population, idle) = (search.Population, 0);
        for (var begin = Start(); session.Left > 0 && idle < MostGenerationsWithoutNews; begin = session.Best is { } best ? Positions(best.Values) : Start())
        {
            var optimizer = new CmaEs(begin, FirstStep, population, _random);
            while (session.Left > 0 && !optimizer.HasConverged && idle < MostGenerationsWithoutNews)
            {
                var before = session.Left;
                var points = optimizer.Ask();
                double[] objectives = [.. points.TakeWhile(_ => session.Left > 0).Select(point => Score(point).Objective)];
                if (objectives.Length == points.Length)
                    optimizer.Tell(points, objectives);
                idle = session.Left == before ? idle + 1 : 0;
            }

            population = optimizer.Population * 2;
        }
    }

    /// <summary>NSGA-II with the tuning sets' losses as objectives. Children are raced against the front of the generations before: one that is given up is
    /// dominated, so it belongs to no front, and takes part in the selection of parents by its estimated losses.</summary>
    public void Evolve()
    {
        var optimizer = new Nsga2(space.Variables.Count, search.Population ?? Math.Clamp(search.Candidates / 5, 8, 40), _random);
        var first = true;
        for (var idle = 0; session.Left > 0 && idle < MostGenerationsWithoutNews; first = false)
        {
            var before = session.Left;
            var front = Front(session.Trials);
            var points = optimizer.Ask();
            if (first)
                points[0] = Start();
            optimizer.Tell([.. points.TakeWhile(_ => session.Left > 0).Select(point => new Nsga2.Member(point, Objectives(Score(point, Against(front)))))]);
            idle = session.Left == before ? idle + 1 : 0;
        }
    }

    /// <summary>The trials scored on all items that no other dominates.</summary>
    public IReadOnlyList<Trial> Front(IEnumerable<Trial> trials)
    {
        var complete = trials.Where(trial => trial.CanWin).ToList();
        return [.. complete.Where(one => !complete.Exists(other => Nsga2.Dominates(Objectives(other), Objectives(one)))).OrderBy(trial => Objectives(trial)[0])];
    }

    private static FrontRace? Against(IReadOnlyList<Trial> front) => front.Count > 0 ? new FrontRace([.. front.Select(trial => trial.Scores)]) : null;

    /// <summary>The losses of the sets that count in the objective.</summary>
    public IReadOnlyList<double> Objectives(Trial trial) => [.. session.Sets.Index().Where(set => set.Item.Weight > 0).Select(set => trial.Scores.Losses[set.Index])];

    /// <summary>Where the search begins, in the unit cube.</summary>
    private double[] Start() => [.. space.Variables.Select(variable => variable.PositionOf(variable.Start))];

    private double[] Positions(IReadOnlyList<double> values) => [.. space.Variables.Zip(values, (variable, value) => variable.PositionOf(value))];

    private Trial Score(IReadOnlyList<double> point) => Score(point, session.AgainstBest);

    private Trial Score(IReadOnlyList<double> point, IRace? race)
    {
        double[] values = [.. space.Variables.Zip(point, (variable, position) => variable.At(position))];
        return session.Score($"candidate {session.Trials.Count + 1}", values, space.Write(values), race);
    }
}
