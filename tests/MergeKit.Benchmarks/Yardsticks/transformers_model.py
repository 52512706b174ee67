"""The yardstick of `MergeKit.Benchmarks gpu-model`: the same shapes in transformers with SDPA, random weights.

usage: python3 transformers_model.py CONFIG.json score DOCUMENTS LENGTH | decode TOKENS
Prints one line: tokens per second and peak memory.
"""
import json
import sys
import time

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_grad_enabled(False)


def build(path):
    raw = json.load(open(path))
    config = AutoConfig.for_model(raw.pop("model_type"), **raw)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def score(model, documents, length):
    ids = torch.randint(0, model.config.vocab_size, (documents, length), device="cuda")
    step = 8 if documents % 8 == 0 else 1

    def run():
        total = torch.zeros((), device="cuda", dtype=torch.float64)
        for start in range(0, documents, step):
            part = ids[start:start + step]
            logits = model(part, use_cache=False).logits
            for row in range(part.shape[0]):
                total += torch.nn.functional.cross_entropy(logits[row, :-1].float(), part[row, 1:], reduction="sum").double()
        return total.item()

    run()
    torch.cuda.synchronize()
    best = 1e9
    for _ in range(2):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return documents * length / best


def decode(model, tokens):
    """Greedy, one token after the other: a plain loop over the model with its own cache, without generate()'s bookkeeping."""
    ids = torch.randint(0, model.config.vocab_size, (1, 128), device="cuda")

    def run(count):
        cache = transformers.DynamicCache()
        out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            token = out.logits[:, -1:].argmax(-1)
            out = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1)
        torch.cuda.synchronize()
        return count / (time.perf_counter() - start)

    run(8)
    return max(run(tokens), run(tokens))


model = build(sys.argv[1])
results = []
arguments = sys.argv[2:]
while arguments:
    if arguments[0] == "score":
        results.append(f"scoring {score(model, int(arguments[1]), int(arguments[2])):.0f} tok/s")
        arguments = arguments[3:]
    else:
        results.append(f"decoding one sequence {decode(model, int(arguments[1])):.1f} tok/s")
        arguments = arguments[2:]
peak = torch.cuda.max_memory_allocated() / 2**30
print(f"transformers {transformers.__version__}, torch {torch.__version__}: {', '.join(results)}, peak {peak:.1f} GiB")
