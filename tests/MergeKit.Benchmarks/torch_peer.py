"""Answers lines on standard input with the time of PyTorch's kernel for a shape, in milliseconds, one line each.

  attention B H KV S D CAUSAL      cuDNN's SDPA
  ragged H KV D CAUSAL S1,S2,...   the fastest of cuDNN's SDPA with one call per sequence, and SDPA over a nested tensor
  decode B H KV S D SETS LAUNCHES  cuDNN's SDPA with one query, a CUDA graph of launches over several caches, per launch
  linear M N K SETS LAUNCHES       torch.nn.functional.linear, likewise
  product M N K                    torch.matmul
  grouped N K R1,R2,...            torch._grouped_mm with these rows per expert
  svd ROWS COLUMNS DEVICE TYPE     torch.linalg.svd, thin, of one matrix on cuda or cpu, float32 or float64; the best of 2 runs
  ties COUNT                       TIES of a base and two models of so many elements, half kept by kthvalue; the best of 2 runs

Events; 20 runs to warm up, the median of 50, 256 MB written before each; of graphs the median of 15 replays. bf16, normal data.
"""
import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

BF = torch.bfloat16
flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")


def rnd(*shape):
    return torch.randn(*shape, device="cuda", dtype=BF)


def median(f):
    for _ in range(20):
        f()
    times = []
    for _ in range(50):
        flush.zero_()
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        f()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b))
    return sorted(times)[len(times) // 2]


def graph(fs, launches):
    for f in fs:
        f()
    torch.cuda.synchronize()
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g):
        for i in range(launches):
            fs[i % len(fs)]()
    for _ in range(3):
        g.replay()
    times = []
    for _ in range(15):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        g.replay()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b) / launches)
    return sorted(times)[len(times) // 2]


def sdpa(q, k, v, causal):
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])


def answer(kind, a):
    if kind == "attention":
        b, h, kv, s, d, causal = map(int, a)
        q, k, v = rnd(b, h, s, d), rnd(b, kv, s, d), rnd(b, kv, s, d)
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return median(lambda: sdpa(q, k, v, bool(causal)))
    if kind == "ragged":
        h, kv, d, causal = map(int, a[:4])
        lengths = [int(x) for x in a[4].split(",")]
        parts = [tuple(rnd(1, n, s, d) for n in (h, kv, kv)) for s in lengths]
        times = []
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            times.append(median(lambda: [sdpa(q, k, v, bool(causal)) for q, k, v in parts]))
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            try:
                nested = [torch.nested.nested_tensor([rnd(s, n, d) for s in lengths], layout=torch.jagged).transpose(1, 2) for n in (h, h, h)]
                with sdpa_kernel(backend):
                    times.append(median(lambda: torch.nn.functional.scaled_dot_product_attention(*nested, is_causal=bool(causal))))
            except Exception as error:
                print(backend, str(error)[:200], file=sys.stderr)
        return min(times)
    if kind == "decode":
        b, h, kv, s, d, sets, launches = map(int, a)
        q = rnd(b, h, 1, d)
        caches = [(rnd(b, kv, s, d), rnd(b, kv, s, d)) for _ in range(sets)]
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return graph([lambda k=k, v=v: sdpa(q, k, v, False) for k, v in caches], launches)
    if kind == "linear":
        m, n, k, sets, launches = map(int, a)
        x, ws = rnd(m, k), [rnd(n, k) * 0.02 for _ in range(sets)]
        return graph([lambda w=w: torch.nn.functional.linear(x, w) for w in ws], launches)
    if kind == "product":
        m, n, k = map(int, a)
        x, w = rnd(m, k), rnd(n, k)
        return median(lambda: torch.matmul(x, w.t()))
    if kind == "grouped":
        n, k = map(int, a[:2])
        rows = torch.tensor([int(r) for r in a[2].split(",")])
        x, w, ends = rnd(int(rows.sum()), k), rnd(len(rows), n, k), rows.cumsum(0).int().cuda()
        return median(lambda: torch._grouped_mm(x, w.transpose(-2, -1), offs=ends))
    if kind == "svd":
        rows, columns, device, dtype = int(a[0]), int(a[1]), a[2], getattr(torch, a[3])
        matrix = torch.randn(rows, columns, device=device, dtype=dtype)
        times = []
        for _ in range(2):
            torch.cuda.synchronize()
            start = time.perf_counter()
            torch.linalg.svd(matrix, full_matrices=False)
            torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start))
        return min(times)
    if kind == "ties":
        count = int(a[0])
        base, *models = [rnd(count) for _ in range(3)]

        def ties():
            deltas = []
            for model in models:
                delta = model.float() - base.float()
                magnitude = delta.abs()
                deltas.append(delta * (magnitude >= magnitude.kthvalue(count - count // 2)[0]) * 0.4)
            positive = sum(deltas) >= 0
            kept = [torch.where((d > 0) == positive, d, 0.0) for d in deltas]
            weights = sum((k != 0) * 0.4 for k in kept)
            return (base.float() + sum(kept) / torch.where(weights == 0, 1.0, weights)).to(BF)

        times = []
        for _ in range(2):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            ties()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        return min(times)
    raise ValueError(kind)


print("torch %s, cuDNN %s, CUDA %s" % (torch.__version__, torch.backends.cudnn.version(), torch.version.cuda), flush=True)
for line in sys.stdin:
    kind, *arguments = line.split()
    try:
        print("%.6f" % answer(kind, arguments), flush=True)
    except Exception as error:
        print("error " + str(error).replace("\n", " ")[:200], flush=True)
    torch.cuda.empty_cache()
