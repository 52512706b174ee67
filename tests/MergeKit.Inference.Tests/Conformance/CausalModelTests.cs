using MergeKit.Core.Models;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

[Trait("Suite", "engine")]
public class CausalModelTests
{
    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var name in EngineSuite.Cases("causal_lm"))
                foreach (var form in EngineSuite.ConfigForms)
                    data.Add(name, form);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_hidden_states_and_routing_are_those_of_the_reference(string name, string form)
    {
        using var reference = new EngineCase(name);
        using var model = reference.Open(form);
        Assert.Empty(model.Warnings);
        foreach (var prompt in reference.Prompts)
        {
            var trace = model.Trace([reference.Ids(prompt + ".input_ids")], new TraceOptions(HiddenStates: true, Routers: true))[0];
            EngineComparison.Compare(reference, prompt, trace, model.VocabularySize);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_ragged_batch_gives_each_sequence_what_it_gets_alone(string name, string form)
    {
        using var reference = new EngineCase(name);
        using var model = reference.Open(form);
        string[] order = [.. reference.Prompts, .. reference.Prompts.Reverse()];
        var traces = model.Trace([.. order.Select(prompt => (ReadOnlyMemory<int>)reference.Ids(prompt + ".input_ids"))], new TraceOptions(HiddenStates: true, Routers: true));
        for (var i = 0; i < order.Length; i++)
            EngineComparison.Compare(reference, order[i], traces[i], model.VocabularySize);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Incremental_decoding_gives_the_reference_s_greedy_ids_and_logits(string name, string form)
    {
        using var reference = new EngineCase(name);
        using var model = reference.Open(form);
        var logits = new float[model.VocabularySize];
        foreach (var prompt in reference.Prompts)
        {
            using var session = model.Open();
            session.Append(reference.Ids(prompt + ".input_ids"));
            session.NextLogits(logits);
            var (ids, rows) = (reference.Ids(prompt + ".decode_ids"), reference.Floats(prompt + ".decode_logits"));
            for (var step = 0; step < ids.Length; step++)
            {
                Assert.Equal(ids[step], Close.ArgMax(logits));
                session.Append([ids[step]]);
                session.NextLogits(logits);
                Close.Equal(rows.AsSpan(step * logits.Length, logits.Length), logits, reference.Tolerance("logits_atol"), $"{prompt} step {step}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Scores_sum_to_the_reference_s_nll(string name, string form)
    {
        using var reference = new EngineCase(name);
        using var model = reference.Open(form);
        var ids = reference.Prompts.Select(prompt => reference.Ids(prompt + ".input_ids")).ToList();
        var batch = model.Score([.. ids.Select(sequence => new ScoreRequest(sequence.AsMemory(0, 1), sequence.AsMemory(1)))]);
        for (var i = 0; i < ids.Count; i++)
        {
            Assert.Equal(reference.Nll(reference.Prompts[i]), -batch[i].Sum, reference.Tolerance("nll_atol"));
            if (model.Network.RotaryDependsOnLength)
                continue; // a session's first token keeps the rotation it was stored with
            using var session = model.Open();
            session.Append(ids[i].AsSpan(0, 1));
            Assert.Equal(reference.Nll(reference.Prompts[i]), -session.Score(ids[i].AsSpan(1)).Sum, reference.Tolerance("nll_atol"));
            Assert.Equal(ids[i].Length, session.Length);
        }
    }
}
