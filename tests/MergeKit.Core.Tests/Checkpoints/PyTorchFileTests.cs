using System.IO.Compression;
using System.Text;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Checkpoints;

/// <summary>PyTorch's zip files: tensors where they lie, and nothing that a pickle could do besides.</summary>
public sealed class PyTorchFileTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_state_dict_is_read()
    {
        var pickle = new PickleText().Protocol().OrderedDict(
            p => p.Text("a.weight").Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]),
            p => p.Text("b").Tensor("BFloat16Storage", "1", 4, 1, [2], [1]),
            p => p.Text("t").Tensor("FloatStorage", "0", 6, 0, [3, 2], [1, 3]),
            p => p.Text("step").Number(7));
        var path = Write(pickle, ("0", Floats(1, 2, 3, 4, 5, 6)), ("1", [.. new ushort[] { 0x3f80, 0x4000, 0x4040, 0x4080 }.SelectMany(BitConverter.GetBytes)]));
        using var checkpoint = Checkpoint.Open(path);
        Assert.Equal(["a.weight", "b", "t"], checkpoint.Tensors.Select(tensor => tensor.Name));
        Assert.Equal([1f, 2, 3, 4, 5, 6], checkpoint.ReadAll(checkpoint.Get("a.weight")));
        Assert.Equal([2f, 3], checkpoint.ReadAll(checkpoint.Get("b")));
        Assert.Equal([1f, 4, 2, 5, 3, 6], checkpoint.ReadAll(checkpoint.Get("t")));
        Assert.Equal((DType.BF16, 2L), (checkpoint.Get("b").DType, checkpoint.Get("b").ElementCount));
        Assert.Contains(checkpoint.Warnings, warning => warning.Message.Contains("step", StringComparison.Ordinal));
    }

    [Fact]
    public void A_wrapped_state_dict_and_shards_with_an_index_are_read()
    {
        var inner = new PickleText().Protocol().Dict(p => p.Text("epoch").Number(3), p => p.Text("state_dict").OrderedDict(q => q.Text("w").Tensor("FloatStorage", "0", 2, 0, [2], [1])));
        Write(inner, "model", "pytorch_model-00001-of-00001.bin", ("0", Floats(5, 6)));
        File.WriteAllText(_scratch.Join("model", "pytorch_model.bin.index.json"), """{"weight_map": {"w": "pytorch_model-00001-of-00001.bin"}}""");
        using var checkpoint = Checkpoint.Open(_scratch.Join("model"));
        Assert.Equal([5f, 6], checkpoint.ReadAll(checkpoint.Get("w")));
    }

    [Theory]
    [InlineData("posix", "system", "posix.system")]
    [InlineData("builtins", "eval", "builtins.eval")]
    [InlineData("numpy.core.multiarray", "_reconstruct", "numpy.core.multiarray._reconstruct")]
    public void A_call_of_anything_else_is_refused_and_named(string module, string name, string seen)
    {
        var pickle = new PickleText().Protocol().Raw($"c{module}\n{name}\n").Raw("(").Text("echo hacked").Raw("tR.");
        var message = Assert.Throws<InputException>(() => Checkpoint.Open(Write(pickle))).Message;
        Assert.Contains(seen, message, StringComparison.Ordinal);
        Assert.Contains("refused", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("(iposix\nsystem\n.", "INST")]
    [InlineData("\u0082\u0001.", "EXT")]
    [InlineData("Pid\n.", "PERSID")]
    [InlineData("}q\u0000h\u0005.", "never stored")]
    [InlineData("R.", "empty stack")]
    [InlineData("K\u0001.", "no dictionary")]
    [InlineData("]K\u0001s.", "empty stack")]
    [InlineData("X\u00ff\u00ff\u00ff\u007f", "middle of a value")]
    public void Odd_instructions_are_refused(string code, string seen) =>
        Assert.Contains(seen, Assert.Throws<InputException>(() => Checkpoint.Open(Write(new PickleText().Protocol().Raw(code)))).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(4, 0, 4L, 1L, "reaches to element")]
    [InlineData(4, 2, 3L, 1L, "reaches to element")]
    [InlineData(4, 0, 2305843009213693952L, 1L, "reaches to element")]
    [InlineData(4, 0, 1000000L, 0L, "over and over")]
    public void A_tensor_outside_its_storage_is_refused(int stored, int offset, long extent, long stride, string seen)
    {
        var pickle = new PickleText().Protocol().OrderedDict(p => p.Text("w").Tensor("FloatStorage", "0", stored, offset, [extent, 2], [stride, 1]));
        Assert.Contains(seen, Assert.Throws<InputException>(() => Checkpoint.Open(Write(pickle, ("0", new byte[4 * stored])))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_no_zip_is_refused()
    {
        File.WriteAllBytes(_scratch.Join("x.bin"), [0x80, 2, (byte)'}', (byte)'.']);
        Assert.Contains("not a zip", Assert.Throws<InputException>(() => Checkpoint.Open(_scratch.Join("x.bin"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_are_refused_or_read_within_their_bytes()
    {
        var pickle = new PickleText().Protocol().OrderedDict(p => p.Text("a").Tensor("FloatStorage", "0", 6, 0, [2, 3], [3, 1]), p => p.Text("b").Tensor("HalfStorage", "1", 4, 0, [2, 2], [1, 2]));
        var path = Write(pickle, ("0", Floats(1, 2, 3, 4, 5, 6)), ("1", new byte[8]));
        var (whole, dice) = (File.ReadAllBytes(path), new SplitMix(3));
        var (refused, accepted) = (0, 0);
        for (var round = 0; round < 3000; round++)
        {
            var damaged = whole.ToArray();
            for (var changes = 1 + dice.Below(3); changes > 0; changes--)
                damaged[dice.Below(damaged.Length)] = (byte)dice.Below(256);
            if (dice.Below(4) == 0)
                damaged = damaged[..dice.Below(damaged.Length)];
            File.WriteAllBytes(path, damaged);
            try
            {
                using var checkpoint = Checkpoint.Open(path);
                foreach (var tensor in checkpoint.Tensors)
                    checkpoint.ReadAll(tensor);
                accepted++;
            }
            catch (InputException e)
            {
                Assert.Contains(path, e.Message, StringComparison.Ordinal);
                refused++;
            }
        }

        Assert.True(refused > 500 && accepted > 100, $"{refused} refused, {accepted} accepted");
    }

    private static byte[] Floats(params float[] values) => [.. values.SelectMany(BitConverter.GetBytes)];

    private string Write(PickleText pickle, params (string Key, byte[] Data)[] storages) => Write(pickle, "m", "pytorch_model.bin", storages);

    private string Write(PickleText pickle, string folder, string name, params (string Key, byte[] Data)[] storages)
    {
        Directory.CreateDirectory(_scratch.Join(folder));
        var path = _scratch.Join(folder, name);
        using var archive = new ZipArchive(File.Create(path), ZipArchiveMode.Create);
        void Add(string member, byte[] data)
        {
            using var stream = archive.CreateEntry("archive/" + member, CompressionLevel.NoCompression).Open();
            stream.Write(data);
        }

        Add("data.pkl", pickle.Bytes);
        Add("byteorder", Encoding.ASCII.GetBytes("little"));
        foreach (var (key, data) in storages)
            Add("data/" + key, data);
        return path;
    }
}
