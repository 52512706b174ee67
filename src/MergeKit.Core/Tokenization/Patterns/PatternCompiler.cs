namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Turns a tree into steps.</summary>
internal sealed class PatternCompiler
{
    private const int MaxSteps = 50_000;
    private readonly List<Instruction> _code = [];
    private readonly int _groups;
    private int _registers;

    private PatternCompiler(int groups) => (_groups, _registers) = (groups, 2 * (groups + 1));

    /// <summary>The program of a tree with that many groups.</summary>
    /// <exception cref="FormatException">It would be too large, or refers to a group that does not exist.</exception>
    public static PatternProgram Compile(PatternNode root, int groups)
    {
        var compiler = new PatternCompiler(groups);
        compiler.Emit(root);
        compiler.Add(new Instruction(Op.Accept));
        return new PatternProgram([.. compiler._code], compiler._registers);
    }

    private int Add(Instruction instruction)
    {
        if (_code.Count >= MaxSteps)
            throw new FormatException($"the expression needs more than {MaxSteps} steps");
        _code.Add(instruction);
        return _code.Count - 1;
    }

    private void Emit(PatternNode node)
    {
        switch (node)
        {
            case OneOf one:
                Add(new Instruction(Op.One) { Set = one.Set });
                break;
            case Chain chain:
                foreach (var part in chain.Parts)
                    Emit(part);
                break;
            case Choice choice:
                EmitChoice(choice.Parts);
                break;
            case Repeat repeat:
                EmitRepeat(repeat);
                break;
            case Capture capture:
                Add(new Instruction(Op.Store, 2 * capture.Number));
                Emit(capture.Part);
                Add(new Instruction(Op.Store, 2 * capture.Number + 1));
                break;
            case BackReference back when back.Number > _groups:
                throw new FormatException($"a reference to group {back.Number}, there are {_groups}");
            case BackReference back:
                Add(new Instruction(Op.Same, 2 * back.Number) { Flag = back.IgnoreCase });
                break;
            case At at:
                Add(new Instruction(Op.At) { Place = at.Place });
                break;
            case Atomic atomic:
                EmitInner(new Instruction(Op.Inner) { Kind = InnerKind.Atomic }, atomic.Part, -1);
                break;
            case Look { Behind: false } look:
                EmitInner(new Instruction(Op.Inner) { Kind = InnerKind.Ahead, Flag = look.Negated }, look.Part, -1);
                break;
            case Look look:
                var register = _registers++;
                Add(new Instruction(Op.Store, register));
                var width = PatternWidth.Of(look.Part);
                EmitInner(new Instruction(Op.Inner) { Kind = InnerKind.Behind, Flag = look.Negated, Width = width }, look.Part, register);
                break;
            default:
                throw new FormatException($"an unknown part {node.GetType().Name}");
        }
    }

    private void EmitInner(Instruction inner, PatternNode part, int endRegister)
    {
        var at = Add(inner);
        Emit(part);
        if (endRegister >= 0)
            Add(new Instruction(Op.IsAt, endRegister));
        Add(new Instruction(Op.Accept));
        _code[at] = inner with { X = _code.Count };
    }

    private void EmitChoice(IReadOnlyList<PatternNode> parts)
    {
        var exits = new List<int>();
        for (var i = 0; i < parts.Count - 1; i++)
        {
            var split = Add(new Instruction(Op.Split));
            Emit(parts[i]);
            exits.Add(Add(new Instruction(Op.Jump)));
            _code[split] = new Instruction(Op.Split, split + 1, _code.Count);
        }

        Emit(parts[^1]);
        foreach (var exit in exits)
            _code[exit] = new Instruction(Op.Jump, _code.Count);
    }

    private void EmitRepeat(Repeat repeat)
    {
        if (repeat.Part is OneOf one)
        {
            Add(new Instruction(Op.Run, repeat.Min, repeat.Max) { Set = one.Set, Greed = repeat.Greed });
            return;
        }

        if (repeat.Greed == Greed.Possessive)
        {
            EmitInner(new Instruction(Op.Inner) { Kind = InnerKind.Atomic }, repeat with { Greed = Greed.Greedy }, -1);
            return;
        }

        for (var i = 0; i < repeat.Min; i++)
            Emit(repeat.Part);
        if (repeat.Max < 0)
            EmitLoop(repeat);
        else
            EmitOptional(repeat, repeat.Max - repeat.Min);
    }

    private void EmitLoop(Repeat repeat)
    {
        var register = _registers++;
        var split = Add(new Instruction(Op.Split));
        Add(new Instruction(Op.Store, register));
        Emit(repeat.Part);
        var stuck = Add(new Instruction(Op.LeaveIfStuck, register));
        Add(new Instruction(Op.Jump, split));
        _code[stuck] = new Instruction(Op.LeaveIfStuck, register, _code.Count);
        _code[split] = Branch(repeat.Greed, split + 1, _code.Count);
    }

    private void EmitOptional(Repeat repeat, int times)
    {
        var splits = new List<int>();
        for (var i = 0; i < times; i++)
        {
            splits.Add(Add(new Instruction(Op.Split)));
            Emit(repeat.Part);
        }

        foreach (var split in splits)
            _code[split] = Branch(repeat.Greed, split + 1, _code.Count);
    }

    private static Instruction Branch(Greed greed, int into, int past) =>
        greed == Greed.Lazy ? new Instruction(Op.Split, past, into) : new Instruction(Op.Split, into, past);
}
