using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>A session that can draw the next token where its logits are.</summary>
internal interface IDrawingSession
{
    /// <summary>The drawn id; -1 where it is left to the caller, who then asks for the logits. Needs at least one token.</summary>
    int NextDraw(in DrawRule rule);
}
