using System.Runtime.CompilerServices;
using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Runs a program on a text.</summary>
internal readonly ref struct Matcher(Instruction[] code, ReadOnlySpan<char> text, MatchState state)
{
    private readonly ReadOnlySpan<char> _text = text;

    /// <summary>The end of the first match of the steps from <paramref name="step"/> on at a position, or -1.</summary>
    public int Run(int step, int position)
    {
        var depth = state.Depth;
        while (true)
        {
            state.Spend();
            ref readonly var instruction = ref code[step];
            if (instruction.Op == Op.Accept)
            {
                state.Commit(depth);
                return position;
            }

            var held = instruction.Op switch
            {
                Op.One => TakeOne(instruction.Set!, ref position) && Advance(ref step),
                Op.Run => TakeRun(instruction, ref step, ref position),
                Op.Inner => RunInner(instruction, ref step, ref position),
                Op.Same => TakeSame(instruction, ref position) && Advance(ref step),
                Op.At => IsPlace(instruction.Place, position) && Advance(ref step),
                Op.IsAt => state.Registers[instruction.X] == position && Advance(ref step),
                _ => Control(instruction, ref step, position),
            };
            if (!held && !Backtrack(depth, ref step, ref position))
                return -1;
        }
    }

    private static bool Advance(ref int step)
    {
        step++;
        return true;
    }

    private bool Control(in Instruction instruction, ref int step, int position)
    {
        switch (instruction.Op)
        {
            case Op.Split:
                state.Push(instruction.Y, position);
                step = instruction.X;
                break;
            case Op.Jump:
                step = instruction.X;
                break;
            case Op.Store:
                state.Push(~instruction.X, state.Registers[instruction.X]);
                state.Registers[instruction.X] = position;
                step++;
                break;
            default:
                step = state.Registers[instruction.X] == position ? instruction.Y : step + 1;
                break;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TakeOne(CodePointSet set, ref int position)
    {
        if (position >= _text.Length)
            return false;
        var rune = WellFormed.RuneAt(_text, position);
        if (!set.Contains(rune))
            return false;
        position += rune.Utf16SequenceLength;
        return true;
    }

    private bool TakeRun(in Instruction run, ref int step, ref int position)
    {
        for (var taken = 0; taken < run.X; taken++)
            if (!TakeOne(run.Set!, ref position))
                return false;
        var more = run.Y < 0 ? int.MaxValue - 1 : run.Y - run.X;
        if (run.Greed == Greed.Lazy)
        {
            if (more > 0)
                state.Push(step, position, ~more);
        }
        else
        {
            var least = position;
            while (more > 0 && TakeOne(run.Set!, ref position))
            {
                more--;
                state.Spend();
            }

            if (run.Greed == Greed.Greedy && position > least)
                state.Push(step, position, least);
        }

        step++;
        return true;
    }

    private bool Backtrack(int depth, ref int step, ref int position)
    {
        while (state.Depth > depth)
        {
            var frame = state.Pop();
            if (frame.Step < 0)
            {
                state.Registers[~frame.Step] = frame.Position;
                continue;
            }

            (step, position) = (frame.Step, frame.Position);
            if (frame.Limit == MatchState.Plain)
                return true;
            if (frame.Limit >= 0)
            {
                position -= WellFormed.RuneBefore(_text, position).Utf16SequenceLength;
                if (position > frame.Limit)
                    state.Push(step, position, frame.Limit);
                step++;
                return true;
            }

            if (!TakeOne(code[step].Set!, ref position))
                continue;
            var more = ~frame.Limit - 1;
            if (more > 0)
                state.Push(step, position, ~more);
            step++;
            return true;
        }

        return false;
    }

    private bool RunInner(in Instruction inner, ref int step, ref int position)
    {
        var depth = state.Depth;
        var end = inner.Kind == InnerKind.Behind ? RunBehind(inner, step + 1, position) : Run(step + 1, position);
        if (inner.Flag)
        {
            state.Undo(depth);
            if (end >= 0)
                return false;
        }
        else if (end < 0)
        {
            return false;
        }

        if (inner.Kind == InnerKind.Atomic)
            position = end;
        step = inner.X;
        return true;
    }

    private int RunBehind(in Instruction inner, int step, int position)
    {
        var start = position;
        for (var width = 0; inner.Width.Max < 0 || width <= inner.Width.Max; width++)
        {
            if (width >= inner.Width.Min && Run(step, start) is >= 0 and var end)
                return end;
            if (start == 0)
                return -1;
            start -= WellFormed.RuneBefore(_text, start).Utf16SequenceLength;
        }

        return -1;
    }

    private bool TakeSame(in Instruction same, ref int position)
    {
        var (start, end) = (state.Registers[same.X], state.Registers[same.X + 1]);
        if (start < 0 || end < start)
            return false;
        foreach (var rune in _text[start..end].EnumerateRunes())
        {
            if (position >= _text.Length)
                return false;
            var other = WellFormed.RuneAt(_text, position);
            if (rune != other && !(same.Flag && CaseFolding.Fold(rune) == CaseFolding.Fold(other)))
                return false;
            position += other.Utf16SequenceLength;
        }

        return true;
    }

    private bool IsPlace(Place place, int position) => place switch
    {
        Place.TextStart => position == 0,
        Place.TextEnd => position == _text.Length,
        Place.TextEndOrLastNewline => position == _text.Length || (position == _text.Length - 1 && _text[position] == '\n'),
        Place.LineStart => position == 0 || (_text[position - 1] == '\n' && position < _text.Length),
        Place.LineEnd => position == _text.Length || _text[position] == '\n',
        Place.WordBoundary => IsWordBefore(position) != IsWordAt(position),
        _ => IsWordBefore(position) == IsWordAt(position),
    };

    private bool IsWordBefore(int position) => position > 0 && CharacterProperties.Word.Contains(WellFormed.RuneBefore(_text, position));

    private bool IsWordAt(int position) => position < _text.Length && CharacterProperties.Word.Contains(WellFormed.RuneAt(_text, position));
}
