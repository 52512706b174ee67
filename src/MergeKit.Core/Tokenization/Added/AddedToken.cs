namespace MergeKit.Core.Tokenization.Added;

/// <summary>A token that is found in the text before anything else happens to it.</summary>
/// <param name="Content">Its text.</param>
/// <param name="Id">Its id.</param>
/// <param name="Special">Whether decoding may leave it out.</param>
/// <param name="Normalized">Whether it is looked for in the normalized text, as it looks when normalized itself.</param>
/// <param name="SingleWord">Whether it must not touch word characters.</param>
/// <param name="LStrip">Whether white space before it is part of it.</param>
/// <param name="RStrip">Whether white space behind it is part of it.</param>
internal sealed record AddedToken(string Content, int Id, bool Special, bool Normalized, bool SingleWord, bool LStrip, bool RStrip);
