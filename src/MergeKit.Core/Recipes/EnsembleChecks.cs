using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>What a rule asks of its members: how many, which parts, which weights.</summary>
internal static class EnsembleChecks
{
    /// <summary>The members in the order of the rule's places.</summary>
    public static IReadOnlyList<EnsembleMember> Place(EnsembleRule rule, IReadOnlyList<EnsembleMember> members, ModelReference? origin, Fields fields)
    {
        if (rule.Roles.Count == 0)
        {
            if (origin is not null)
                fields.Problems.Error($"the rule '{rule.Name}' has no base model; list it among 'models'", fields.PlaceOf("base_model"));
            foreach (var member in members.Where(member => member.Role is not null))
                fields.Problems.Error($"the rule '{rule.Name}' names no parts; 'role: {member.Role}' means nothing here", member.Location);
            return members;
        }

        foreach (var member in members.Where(member => member.Role is null || !rule.Roles.Contains(member.Role)))
            fields.Problems.Error(
                $"'{member.Model}' has {(member.Role is null ? "no role" : $"the role '{member.Role}'")}; '{rule.Name}' wants {string.Join(", ", Named(rule))}", member.Location);
        foreach (var twice in members.Where(member => member.Role is not null).GroupBy(member => member.Role).Where(group => group.Count() > 1))
            fields.Problems.Error($"two members have the role '{twice.Key}'", twice.Last().Location);
        if (rule.Roles.Contains(EnsembleRules.BaseRole) != origin is not null)
            fields.Problems.Error(
                origin is null ? $"'{rule.Name}' needs 'base_model', the model that is steered" : $"'{rule.Name}' has no base model",
                origin is null ? fields.Location : fields.PlaceOf("base_model"));
        return [.. rule.Roles.Select(role => Find(rule, role, members, origin, fields)).OfType<EnsembleMember>()];
    }

    /// <summary>Weights, gate, context and number of members.</summary>
    public static void Check(EnsembleRule rule, IReadOnlyList<EnsembleMember> members, Fields fields, bool hasGate, bool hasContext)
    {
        foreach (var member in members.Where(member => member.Weight is not null))
            if (!rule.HasWeights)
                fields.Problems.Error($"the rule '{rule.Name}' takes no weights", member.Location);
            else if (member.Weight < 0 && !rule.TakesNegativeWeights)
                fields.Problems.Error($"the weight of '{member.Model}' is {member.Weight}: '{rule.Name}' mixes probabilities and takes no negative weight; use log_linear", member.Location);
        if (rule.HasWeights && members.Count > 0 && members.All(member => member.Weight == 0))
            fields.Problems.Error("every weight is 0: no member would be run", fields.PlaceOf("models"));
        if (members.Any(member => member.Weight is null) && members.Any(member => member.Weight is not null) && rule.HasWeights)
            fields.Problems.Error(
                $"some members have a weight, '{members.First(member => member.Weight is null).Model}' has none; give one to all or to none", fields.PlaceOf("models"));
        Require(fields, "gate", rule.Name == "gated", hasGate);
        Require(fields, "context", rule.Name == "context_aware", hasContext);
        if (rule.Name == "context_aware" && members.Count != 1)
            fields.Problems.Error($"'context_aware' wants one model; found {members.Count}", fields.PlaceOf("models"));
        foreach (var member in members.Where(member => member.Dropout is not null && (rule.Roles.Count > 0 || rule.Name is "context_aware" or "gated")))
            fields.Problems.Error($"dropout makes several members of one, which '{rule.Name}' has no places for; put them into an ensemble document of their own", member.Location);
    }

    /// <summary>The pivot must be one of the members.</summary>
    public static void CheckPivot(EnsembleVocabulary vocabulary, IReadOnlyList<EnsembleMember> members, ProblemList problems)
    {
        if (vocabulary.Pivot is { } pivot && !members.Any(member => member.Model.ToString() == pivot))
            problems.Error(
                $"'pivot' is '{pivot}', which is no member.{Spelling.Hint(pivot, members.Select(member => member.Model.ToString()))} Members: {string.Join(", ", members.Select(member => member.Model))}",
                vocabulary.Location);
    }

    /// <summary>Bags and the data of which they are resamples go together; weights cannot be learned from what members were trained on.</summary>
    public static void CheckBags(BaggingSpec? bagging, LearnSettings? learn, IReadOnlyList<EnsembleMember> members, Fields fields)
    {
        if (bagging is null)
            foreach (var member in members.Where(member => member.Bag is not null))
                fields.Problems.Error($"'bag: {member.Bag}' of '{member.Model}' goes with 'bagging', which is not given", member.Location);
        else if (members.All(member => member.Bag is null))
            fields.Problems.Error("'bagging' is given, but no member says which 'bag' it was trained on", fields.PlaceOf("bagging"));
        if (bagging is not null && learn is not null && bagging.Data == learn.Data)
            fields.Problems.Error(
                $"'learn' and 'bagging' have the same data, '{learn.Data}': members were trained on most of it, so weights must be learned from other answers", learn.Location);
    }

    private static IEnumerable<string> Named(EnsembleRule rule) => rule.Roles.Where(role => role != EnsembleRules.BaseRole);

    private static EnsembleMember? Find(EnsembleRule rule, string role, IReadOnlyList<EnsembleMember> members, ModelReference? origin, Fields fields)
    {
        if (members.FirstOrDefault(member => member.Role == role) is { } found)
            return found;
        if (origin is not null && (role == EnsembleRules.BaseRole || role == rule.OptionalRole))
            return new EnsembleMember(origin, null, role, null, origin.Location);
        if (role != EnsembleRules.BaseRole)
            fields.Problems.Error($"'{rule.Name}' needs a member with 'role: {role}'", fields.PlaceOf("models"));
        return null;
    }

    private static void Require(Fields fields, string key, bool isWanted, bool isGiven)
    {
        if (isWanted == isGiven)
            return;
        var rule = key == "gate" ? "gated" : "context_aware";
        fields.Problems.Error(isWanted ? $"the rule '{rule}' needs '{key}'" : $"'{key}' goes with the rule '{rule}'", isGiven ? fields.PlaceOf(key) : fields.Location);
    }
}
