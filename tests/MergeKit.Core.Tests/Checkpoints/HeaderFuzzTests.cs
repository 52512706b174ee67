using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Checkpoints;

/// <summary>Damaged headers are refused in the tool's own words, or describe bytes that are really there.</summary>
public class HeaderFuzzTests
{
    private const int Rounds = 4000;

    private static readonly byte[][] Nasty =
        [.. new[] { "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0000", "-", "9", "99999999999999999999", "1e9", "NaN", "null", "\0", "\u00ff", "F8_E4M3", "data_offsets", "__metadata__" }.Select(System.Text.Encoding.UTF8.GetBytes)];

    [Fact]
    public void Flips_cuts_and_insertions_never_crash_and_never_read_out_of_range()
    {
        using var scratch = TemporaryFolder.InMemory(1_000_000);
        var path = scratch.Join("model.safetensors");
        SafetensorsFile.Write(path, SyntheticModel.Filled("a.weight", DType.F32, [3, 5], 1), SyntheticModel.Filled("b.weight", DType.BF16, [7], 2), SyntheticModel.Filled("c", DType.F16, [], 3));
        var whole = File.ReadAllBytes(path);
        var header = 8 + (int)BitConverter.ToUInt64(whole);
        var (refused, accepted) = (0, 0);
        for (var round = 0; round < Rounds; round++)
        {
            var damaged = Damage(whole, header, new Dice(round));
            File.WriteAllBytes(path, damaged);
            try
            {
                ReadEverything(path, damaged);
                accepted++;
            }
            catch (InputException e)
            {
                Assert.All(e.Problems, problem => Assert.Contains(path, problem.Message, StringComparison.Ordinal));
                refused++;
            }
        }

        Assert.True(refused > Rounds / 2 && accepted > 0, $"{refused} refused, {accepted} accepted");
    }

    private static void ReadEverything(string path, byte[] file)
    {
        using var checkpoint = Checkpoint.Open(path);
        foreach (var tensor in checkpoint.Tensors)
        {
            Assert.InRange(tensor.Offset, 8, file.Length);
            Assert.InRange(tensor.ByteLength, 0, file.Length - tensor.Offset);
            var bytes = new byte[tensor.ByteLength];
            checkpoint.Read(tensor, 0, bytes);
            Assert.Equal(file[(int)tensor.Offset..][..bytes.Length], bytes);
            Assert.Equal(tensor.ByteLength, tensor.Shape.Aggregate((long)tensor.DType.Size(), (product, extent) => product * extent));
        }
    }

    private static byte[] Damage(byte[] whole, int header, Dice dice)
    {
        var damaged = whole.ToList();
        for (var changes = 1 + dice.Roll(3); changes > 0; changes--)
        {
            var at = dice.Roll(Math.Min(header, damaged.Count));
            switch (dice.Roll(5))
            {
                case 0:
                    damaged[at] ^= (byte)(1 << dice.Roll(8));
                    break;
                case 1:
                    damaged[at] = (byte)dice.Roll(256);
                    break;
                case 2:
                    damaged.RemoveRange(at, Math.Min(1 + dice.Roll(20), damaged.Count - at));
                    break;
                case 3:
                    damaged.InsertRange(Math.Max(8, at), Nasty[dice.Roll(Nasty.Length)]);
                    break;
                default:
                    damaged.RemoveRange(dice.Roll(damaged.Count), 1);
                    break;
            }

            if (damaged.Count < 2)
                break;
        }

        return [.. damaged];
    }

    /// <summary>Reproducible choices.</summary>
    private sealed class Dice(int seed)
    {
        private readonly CounterRandom _random = new((ulong)seed, "fuzz", 0);
        private long _next;

        public int Roll(int sides)
        {
            Span<uint> word = stackalloc uint[1];
            _random.Fill(_next++, word);
            return (int)(word[0] % (uint)Math.Max(1, sides));
        }
    }
}
