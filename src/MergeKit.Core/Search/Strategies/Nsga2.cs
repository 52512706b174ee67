namespace MergeKit.Core.Search.Strategies;

/// <summary>The non-dominated sorting genetic algorithm (Deb, Pratap, Agarwal and Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm:
/// NSGA-II") over the unit cube, with simulated binary crossover and polynomial mutation. All objectives are to be small.</summary>
internal sealed class Nsga2(int variables, int population, SearchRandom random)
{
    private const double CrossoverIndex = 15;
    private const double MutationIndex = 20;
    private const double CrossoverShare = 0.9;
    private List<Member> _parents = [];

    /// <summary>A point with its objectives.</summary>
    public sealed record Member(double[] Point, IReadOnlyList<double> Objectives)
    {
        /// <summary>The front it belongs to, 0 for the best.</summary>
        public int Rank { get; set; }

        /// <summary>How far its neighbours in the front are.</summary>
        public double Crowding { get; set; }
    }

    /// <summary>Points per generation.</summary>
    public int Population => population;

    /// <summary>The points of a generation: random ones first, later children of the best.</summary>
    public double[][] Ask() => _parents.Count == 0
        ? [.. Enumerable.Range(0, population).Select(_ => Enumerable.Range(0, variables).Select(_ => random.Uniform()).ToArray())]
        : [.. Enumerable.Range(0, (population + 1) / 2).SelectMany(_ => Children()).Take(population)];

    /// <summary>Keeps the best of parents and children.</summary>
    public void Tell(IEnumerable<Member> children)
    {
        var all = _parents.Concat(children).ToList();
        var next = new List<Member>();
        foreach (var front in Fronts(all))
        {
            Crowd(front);
            next.AddRange(next.Count + front.Count <= population ? front : front.OrderByDescending(member => member.Crowding).Take(population - next.Count));
            if (next.Count >= population)
                break;
        }

        _parents = next;
    }

    /// <summary>Whether a is at least as good everywhere and better somewhere.</summary>
    public static bool Dominates(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        var better = false;
        for (var i = 0; i < a.Count; i++)
        {
            if (!(a[i] <= b[i]))
                return false;
            better |= a[i] < b[i];
        }

        return better;
    }

    /// <summary>Members sorted into fronts, the best first.</summary>
    public static IEnumerable<List<Member>> Fronts(IReadOnlyList<Member> members)
    {
        var left = members.ToList();
        for (var rank = 0; left.Count > 0; rank++)
        {
            var front = left.Where(one => !left.Exists(other => Dominates(other.Objectives, one.Objectives))).ToList();
            if (front.Count == 0)
                front = [.. left]; // objectives that are not numbers dominate nothing and are dominated by nothing
            front.ForEach(member => member.Rank = rank);
            yield return front;
            left = [.. left.Except(front, ReferenceEqualityComparer.Instance).Cast<Member>()];
        }
    }

    private static void Crowd(List<Member> front)
    {
        front.ForEach(member => member.Crowding = 0);
        for (var objective = 0; objective < front[0].Objectives.Count; objective++)
        {
            var sorted = front.OrderBy(member => member.Objectives[objective]).ToList();
            var range = sorted[^1].Objectives[objective] - sorted[0].Objectives[objective];
            sorted[0].Crowding = sorted[^1].Crowding = double.PositiveInfinity;
            for (var i = 1; i < sorted.Count - 1 && range > 0 && double.IsFinite(range); i++)
                sorted[i].Crowding += (sorted[i + 1].Objectives[objective] - sorted[i - 1].Objectives[objective]) / range;
        }
    }

    private Member Tournament()
    {
        var (a, b) = (_parents[Index()], _parents[Index()]);
        return a.Rank != b.Rank ? (a.Rank < b.Rank ? a : b) : a.Crowding >= b.Crowding ? a : b;
    }

    private int Index() => (int)(random.Uniform() * _parents.Count);

    private double[][] Children()
    {
        var (first, second) = (Tournament().Point.ToArray(), Tournament().Point.ToArray());
        if (random.Uniform() < CrossoverShare)
            for (var i = 0; i < variables; i++)
                if (random.Uniform() < 0.5)
                    Cross(first, second, i);
        return [Mutated(first), Mutated(second)];
    }

    private void Cross(double[] first, double[] second, int i)
    {
        var u = random.Uniform();
        var beta = Math.Pow(u <= 0.5 ? 2 * u : 1 / (2 * (1 - u)), 1 / (CrossoverIndex + 1));
        var (a, b) = (first[i], second[i]);
        first[i] = Math.Clamp(0.5 * (((1 + beta) * a) + ((1 - beta) * b)), 0, 1);
        second[i] = Math.Clamp(0.5 * (((1 - beta) * a) + ((1 + beta) * b)), 0, 1);
    }

    private double[] Mutated(double[] point)
    {
        for (var i = 0; i < variables; i++)
        {
            if (random.Uniform() >= 1.0 / variables)
                continue;
            var u = random.Uniform();
            var delta = u < 0.5 ? Math.Pow(2 * u, 1 / (MutationIndex + 1)) - 1 : 1 - Math.Pow(2 * (1 - u), 1 / (MutationIndex + 1));
            point[i] = Math.Clamp(point[i] + delta, 0, 1);
        }

        return point;
    }
}
