using System.Text;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary><c>UnicodeScripts</c>: cuts where the script changes (Unicode 9). Hiragana, Katakana and Han count as one; a
/// space and unassigned code points have none and stay with what is before them. What has no script at the very start
/// of a piece is dropped, as in the library.</summary>
internal sealed class ScriptsPreTokenizer : PreTokenizer
{
    private static readonly Lazy<ScriptTable> Table = new(() => new ScriptTable(UnicodeData.Instance));

    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var table = Table.Value;
        var span = piece.Span;
        var (start, last) = (-1, -1);
        for (var index = 0; index < span.Length;)
        {
            var rune = WellFormed.RuneAt(span, index);
            var script = table.ScriptOf(rune);
            if (script != ScriptTable.None && script != last)
            {
                if (start >= 0)
                    sink.Add(piece.Slice(start, index));
                (start, last) = (index, script);
            }

            index += rune.Utf16SequenceLength;
        }

        if (start >= 0)
            sink.Add(piece.Slice(start, span.Length));
    }

    /// <summary>Scripts as numbers, by sorted ranges.</summary>
    private sealed class ScriptTable
    {
        public const int None = -2;
        private readonly int[] _first;
        private readonly (int Last, int Script)[] _ranges;
        private readonly CodePointRanges _assigned;
        private readonly (int Han, int Common) _ids;

        public ScriptTable(UnicodeData data)
        {
            var names = data.Scripts.Keys.Order(StringComparer.Ordinal).ToList();
            var all = names.SelectMany((name, id) => data.Scripts[name].Ranges.Select(r => (r.First, r.Last, Id: id)))
                .OrderBy(r => r.First).ToArray();
            (_first, _ranges, _assigned) = ([.. all.Select(r => r.First)], [.. all.Select(r => (r.Last, r.Id))], data.AssignedIn9);
            _ids = (names.IndexOf("Han"), names.IndexOf("Common"));
            for (var i = 0; i < _ranges.Length; i++)
                if (_ranges[i].Script == names.IndexOf("Hiragana") || _ranges[i].Script == names.IndexOf("Katakana"))
                    _ranges[i].Script = _ids.Han;
        }

        public int ScriptOf(Rune rune)
        {
            switch (rune.Value)
            {
                case ' ':
                    return None;
                case 0x30FC:
                    return _ids.Han;
                case 0x589 or 0x61C:
                    return _ids.Common;
            }

            var index = Array.BinarySearch(_first, rune.Value);
            index = index < 0 ? ~index - 1 : index;
            return index >= 0 && rune.Value <= _ranges[index].Last && _assigned.Contains(rune.Value) ? _ranges[index].Script : None;
        }
    }
}
