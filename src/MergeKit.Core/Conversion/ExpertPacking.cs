using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Conversion;

/// <summary>Experts in tensors of their own, or packed: gate and up rows of all experts [experts, 2 intermediate, hidden], downs [experts, hidden,
/// intermediate]. The elements are the same in both forms; only names and shapes change.</summary>
internal static class ExpertPacking
{
    public static void Apply(ModelDraft draft, ExpertLayout layout)
    {
        var network = draft.RequireArchitecture("changing how experts are stored").Network(draft.TypedConfig);
        var mixtures = network.Layers.Select(layer => layer.Moe).OfType<MoeSpec>().ToList();
        if (mixtures.Count == 0)
            throw new InputException($"{draft.Name}: '{draft.TypedConfig.Architecture}' as configured has no experts");
        foreach (var moe in mixtures)
        {
            if (moe.Experts.Count == 0 || moe.Packed.StoredTransposed || moe.Packed.Interleaved || moe.Experts[0].Gate is null)
                throw new InputException($"{draft.Name}: the experts of '{draft.TypedConfig.Architecture}' are stored in one form only");
            if (layout == ExpertLayout.Packed)
                Pack(draft, moe);
            else
                Unpack(draft, moe);
        }
    }

    private static void Pack(ModelDraft draft, MoeSpec moe)
    {
        if (draft.Find(moe.Packed.Down.Name) is not null)
            return;
        Stack(draft, moe.Packed.GateUp, [.. moe.Experts.SelectMany(expert => new[] { expert.Gate!, expert.Up! })]);
        Stack(draft, moe.Packed.Down, [.. moe.Experts.Select(expert => expert.Down)]);
        if (moe.Router.Alias is { } alias)
            Rename(draft, moe.Router.Name + ".weight", alias + ".weight");
    }

    private static void Stack(ModelDraft draft, TensorSpec packed, List<LinearSpec> linears)
    {
        var parts = linears.ConvertAll(linear => draft.Find(linear.Name + ".weight") ?? throw new InputException($"{draft.Name}: lacks tensor '{linear.Name}.weight'"));
        for (var i = 0; i < parts.Count; i++)
            if (parts[i].DType != parts[0].DType || !parts[i].Shape.SequenceEqual(linears[i].StoredShape))
                throw new InputException($"{draft.Name}: tensor '{parts[i].Name}' is {parts[i].TypeText} {parts[i].ShapeText}; {parts[0].TypeText} {TensorInfo.Text(linears[i].StoredShape)} is wanted to pack it with the other experts");
        parts.ForEach(part => draft.Remove(part.Name));
        draft.Set(TensorInfo.Made(packed.Name, parts[0].DType, packed.Shape, parts[0].File, new StackedContent(draft.Stored, parts)));
    }

    private static void Unpack(ModelDraft draft, MoeSpec moe)
    {
        if (draft.Find(moe.Experts[0].Down.Name + ".weight") is not null)
            return;
        Cut(draft, moe.Packed.GateUp, [.. moe.Experts.SelectMany(expert => new[] { expert.Gate!, expert.Up! })]);
        Cut(draft, moe.Packed.Down, [.. moe.Experts.Select(expert => expert.Down)]);
        if (moe.Router.Alias is { } alias)
            Rename(draft, alias + ".weight", moe.Router.Name + ".weight");
    }

    private static void Cut(ModelDraft draft, TensorSpec packed, List<LinearSpec> linears)
    {
        var whole = draft.Find(packed.Name) ?? throw new InputException($"{draft.Name}: lacks tensor '{packed.Name}'");
        if (!whole.Shape.SequenceEqual(packed.Shape))
            throw new InputException($"{draft.Name}: tensor '{whole.Name}' is {whole.ShapeText}; the configuration implies {TensorInfo.Text(packed.Shape)}");
        draft.Remove(packed.Name);
        var first = 0L;
        foreach (var linear in linears)
        {
            draft.Set(TensorInfo.Made(linear.Name + ".weight", whole.DType, linear.StoredShape, whole.File, new RangeContent(draft.Stored, whole, first)));
            first += (long)linear.Out * linear.In;
        }
    }

    private static void Rename(ModelDraft draft, string from, string to)
    {
        if (draft.Find(from) is not { } tensor)
            return;
        draft.Remove(from);
        draft.Set(tensor with { Name = to });
    }
}
