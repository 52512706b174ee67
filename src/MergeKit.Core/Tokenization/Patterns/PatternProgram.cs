namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>What one step of the matcher does.</summary>
internal enum Op
{
    /// <summary>Takes one code point of the set.</summary>
    One,

    /// <summary>Takes X to Y code points of the set (Y -1: any number), as greedy as Greed says.</summary>
    Run,

    /// <summary>Goes on at X; if that fails, at Y.</summary>
    Split,

    /// <summary>Goes on at X.</summary>
    Jump,

    /// <summary>Stores the position in register X.</summary>
    Store,

    /// <summary>Goes on at Y where the position has not moved since it was stored in register X.</summary>
    LeaveIfStuck,

    /// <summary>Holds where the place does.</summary>
    At,

    /// <summary>Runs what follows up to its Accept as a unit of its own, then goes on at X.</summary>
    Inner,

    /// <summary>Takes the text between registers X and X + 1 again.</summary>
    Same,

    /// <summary>Holds at the position stored in register X.</summary>
    IsAt,

    /// <summary>The (inner) match is complete.</summary>
    Accept,
}

/// <summary>What an <see cref="Op.Inner"/> is for.</summary>
internal enum InnerKind
{
    /// <summary>Consumes, and gives nothing back.</summary>
    Atomic,

    /// <summary>Looks ahead.</summary>
    Ahead,

    /// <summary>Looks behind: tries every start whose distance is between Min and Max code points.</summary>
    Behind,
}

/// <summary>One step.</summary>
internal readonly record struct Instruction(Op Op, int X = 0, int Y = 0)
{
    /// <summary>The code points taken.</summary>
    public CodePointSet? Set { get; init; }

    /// <summary>How a run gives back.</summary>
    public Greed Greed { get; init; }

    /// <summary>The condition of <see cref="Op.At"/>.</summary>
    public Place Place { get; init; }

    /// <summary>What an inner part is for.</summary>
    public InnerKind Kind { get; init; }

    /// <summary>Whether a look must fail, or a repeated text ignores case.</summary>
    public bool Flag { get; init; }

    /// <summary>Shortest and longest distance of a look behind; longest -1 is without bound.</summary>
    public (int Min, int Max) Width { get; init; }
}

/// <summary>A compiled regular expression.</summary>
/// <param name="Code">The steps; the first is the start.</param>
/// <param name="Registers">How many positions a run keeps.</param>
internal sealed record PatternProgram(Instruction[] Code, int Registers);
