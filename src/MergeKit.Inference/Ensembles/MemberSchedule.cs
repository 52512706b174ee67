namespace MergeKit.Inference.Ensembles;

/// <summary>Which members on the CPU run at the same time, with how many threads each. Members of about one size that share out the threads evenly need not wait for
/// each other, and the fewer threads work on one product, the less these wait for one another; a small member beside a large one would only leave its thread idle.</summary>
internal static class MemberSchedule
{
    private const double Alike = 1.25;

    /// <summary>The sets of members that run at once; members that are in none run alone, with all threads.</summary>
    /// <param name="bytes">Bytes of each member's weights.</param>
    /// <param name="threads">Threads in all.</param>
    public static IReadOnlyList<(int[] Members, int Threads)> Plan(IReadOnlyList<long> bytes, int threads)
    {
        var (sets, left) = (new List<(int[], int)>(), Enumerable.Range(0, bytes.Count).OrderByDescending(member => bytes[member]).ToList());
        while (left.Count > 1)
        {
            var alike = left.TakeWhile(member => bytes[left[0]] <= Alike * bytes[member]).ToArray();
            var count = Enumerable.Range(1, Math.Min(alike.Length, threads)).Last(share => threads % share == 0);
            if (count > 1)
                sets.Add((alike[..count], threads / count));
            left.RemoveRange(0, count);
        }

        return sets;
    }
}
