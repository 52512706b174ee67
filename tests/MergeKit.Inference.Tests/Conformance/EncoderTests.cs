using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Conformance;

[Trait("Suite", "engine")]
public class EncoderTests
{
    public static TheoryData<string, string> Cases
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var name in EngineSuite.Cases("masked_lm"))
                foreach (var form in EngineSuite.ConfigForms)
                    data.Add(name, form);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_and_hidden_states_are_those_of_the_reference(string name, string form)
    {
        using var reference = new EngineCase(name);
        using var model = reference.OpenEncoder(form);
        Assert.Empty(model.Warnings);
        foreach (var prompt in reference.Prompts)
        {
            var (ids, mask) = (reference.Ids(prompt + ".input_ids"), reference.Ids(prompt + ".attention_mask"));
            var trace = model.Trace(ids, mask, reference.Ids(prompt + ".token_type_ids"), new TraceOptions(HiddenStates: true));
            var (hidden, logits) = (reference.Floats(prompt + ".hidden_0"), reference.Floats(prompt + ".logits"));
            var (width, vocabulary, nll, last) = (model.Network.HiddenSize, model.Network.VocabularySize, 0.0, 0);
            for (var t = 0; t < ids.Length; t++)
            {
                if (mask[t] == 0)
                    continue;
                var row = trace.Logits.AsSpan(t * vocabulary, vocabulary);
                Close.Equal(hidden.AsSpan(t * width, width), trace.HiddenStates[0].AsSpan(t * width, width), reference.Tolerance("hidden_0_atol"), prompt + ".hidden_0");
                Close.Equal(logits.AsSpan(t * vocabulary, vocabulary), row, reference.Tolerance("logits_atol"), prompt + ".logits");
                nll -= Close.LogProbability(row, ids[t]);
                last = t;
            }

            var exact = Array.ConvertAll(reference.Doubles(prompt + ".logits_last_f64"), value => (float)value);
            Close.Equal(exact, trace.Logits.AsSpan(last * vocabulary, vocabulary), reference.Tolerance("logits_atol"), prompt + ".logits_last_f64");
            Assert.Equal(reference.Nll(prompt), nll, reference.Tolerance("nll_atol"));
        }
    }
}
