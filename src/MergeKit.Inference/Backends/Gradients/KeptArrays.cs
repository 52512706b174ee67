namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Arrays of a pass that the next one takes over: without them the heap grows by all that a pass makes and forgets before it is collected.
/// Used from one thread at a time.</summary>
internal sealed class KeptArrays
{
    private readonly Dictionary<int, Shelf> _shelves = [];

    /// <summary>Zeros.</summary>
    public float[] Take(int length)
    {
        if (!_shelves.TryGetValue(length, out var shelf))
            _shelves[length] = shelf = new Shelf();
        shelf.Most = Math.Max(shelf.Most, ++shelf.Out);
        if (!shelf.Free.TryPop(out var array))
            return new float[length];
        Array.Clear(array);
        return array;
    }

    /// <summary>Takes an array back.</summary>
    public void Give(float[] array)
    {
        if (array.Length == 0)
            return;
        var shelf = _shelves[array.Length];
        shelf.Out--;
        shelf.Free.Push(array);
    }

    /// <summary>Lets go of more than was out at once since the last time.</summary>
    public void Trim()
    {
        foreach (var (length, shelf) in _shelves.ToList())
        {
            while (shelf.Free.Count > 0 && shelf.Free.Count + shelf.Out > shelf.Most)
                shelf.Free.Pop();
            shelf.Most = shelf.Out;
            if (shelf is { Free.Count: 0, Out: 0 })
                _shelves.Remove(length);
        }
    }

    private sealed class Shelf
    {
        public Stack<float[]> Free { get; } = new();

        public int Out { get; set; }

        public int Most { get; set; }
    }
}
