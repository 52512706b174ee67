using System.Globalization;
using System.Text.Json;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>Tokens and their ids.</summary>
internal sealed class Vocabulary
{
    /// <summary>The highest id that a file may give; more would let a small file ask for endless memory.</summary>
    public const int MaxId = 1 << 26;

    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly Dictionary<int, string> _tokens;

    /// <summary>A vocabulary of these tokens; of tokens with one id, the last is the id's token.</summary>
    public Vocabulary(IEnumerable<KeyValuePair<string, int>> tokens, int capacity = 0)
    {
        (_ids, _tokens) = (new Dictionary<string, int>(capacity, StringComparer.Ordinal), new Dictionary<int, string>(capacity));
        foreach (var (token, id) in tokens)
        {
            _ids[token] = id;
            _tokens[id] = token;
        }

        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        HighestId = _tokens.Count == 0 ? -1 : _tokens.Keys.Max();
    }

    /// <summary>Every token and its id.</summary>
    public IReadOnlyDictionary<string, int> Ids => _ids;

    /// <summary>The highest id, or -1.</summary>
    public int HighestId { get; }

    /// <summary>The id of a token.</summary>
    public bool TryGetId(ReadOnlySpan<char> token, out int id) => _lookup.TryGetValue(token, out id);

    /// <summary>The id of a token, or null.</summary>
    public int? Find(string token) => _ids.TryGetValue(token, out var id) ? id : null;

    /// <summary>The token of an id, or null.</summary>
    public string? Token(int id) => _tokens.GetValueOrDefault(id);

    /// <summary>The ids of the tokens that spell bytes, <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>; -1 where one is missing.</summary>
    public int[] ByteTokens() =>
        [.. Enumerable.Range(0, 256).Select(value => Find("<0x" + value.ToString("X2", CultureInfo.InvariantCulture) + ">") ?? -1)];

    /// <summary>Reads a JSON object from tokens to ids.</summary>
    public static Vocabulary Read(JsonScope scope)
    {
        if (scope.Element.ValueKind != JsonValueKind.Object)
            throw scope.Fail("an object from tokens to ids");
        return new Vocabulary(scope.Element.EnumerateObject().Select(member =>
        {
            var token = TokenName(member);
            return member.Value.ValueKind == JsonValueKind.Number && member.Value.TryGetInt32(out var id) && id is >= 0 and <= MaxId
                ? KeyValuePair.Create(token, id)
                : throw new JsonScope(scope.File, $"{scope.Path}['{token}']", member.Value).Fail($"an id from 0 to {MaxId}");
        }), scope.Element.GetPropertyCount());
    }

    private static string TokenName(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return "\uFFFD";
        }
    }
}
