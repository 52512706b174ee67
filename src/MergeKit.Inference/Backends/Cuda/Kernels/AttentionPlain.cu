// Attention of any shape and type by plain arithmetic: the device's own oracle, and the way for float32 and odd head
// sizes. One warp per query and head; 32 keys at a time, one per lane, with an online softmax.
// -D: ELEMENT_BF16 HEAD_DIM VALUE_DIM CAUSAL WINDOW SOFTCAP ALIBI SINKS (0 or 1 each)
#include "attention.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif

constexpr int kWarps = 4, kOut = (VALUE_DIM + 31) / 32;

struct Params {
    const Element* q; const Element* k; const Element* v;
    Element* o;                                      // [tokens, heads, VALUE_DIM]
    const Sequence* sequences;
    const int2* places;                              // [tokens]: sequence, position
    const int* table;                                // null: keys and values are ragged
    const float* slopes; const float* sinks;         // per head
    int table_stride, tokens, heads, kv_heads, window;
    float scale, softcap;
};

extern "C" __global__ void __launch_bounds__(kWarps * 32) attention(const __grid_constant__ Params p) {
    __shared__ float query[kWarps][HEAD_DIM];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const i64 index = (i64)blockIdx.x * kWarps + warp;
    if (index >= (i64)p.tokens * p.heads) return;
    const int t = (int)(index / p.heads), h = (int)(index - (i64)t * p.heads);
    const int2 place = p.places[t];
    const Sequence s = p.sequences[place.x];
    const int kv_head = h / (p.heads / p.kv_heads);
    const KvRows<Element> keys(p.k, p.table, p.table_stride, place.x, s.key_start, p.kv_heads, kv_head, HEAD_DIM);
    const KvRows<Element> values(p.v, p.table, p.table_stride, place.x, s.key_start, p.kv_heads, kv_head, VALUE_DIM);
    for (int d = lane; d < HEAD_DIM; d += 32) query[warp][d] = to_float(p.q[index * HEAD_DIM + d]);
    __syncwarp();

    const int end = CAUSAL ? place.y + 1 : s.keys, begin = WINDOW ? max(0, place.y - p.window + 1) : 0;
    float o[kOut] = {}, m = neg_inf(), sum = 0;
    for (int j0 = begin; j0 < end; j0 += 32) {
        const int j = j0 + lane;
        float x = neg_inf();
        if (j < end) {
            const Element* key = keys.row(j);
            x = 0;
            for (int d = 0; d < HEAD_DIM; d++) x += query[warp][d] * to_float(key[d]);
            x *= p.scale;
            if (SOFTCAP) x = p.softcap * tanhf(x / p.softcap);
            if (ALIBI) x += p.slopes[h] * j;
        }
        const float top = fmaxf(m, warp_max(x));
        const float weight = x == neg_inf() ? 0.0f : expf(x - top), old = m == neg_inf() ? 0.0f : expf(m - top);
        m = top;
        sum = sum * old + warp_sum(weight);
#pragma unroll
        for (int i = 0; i < kOut; i++) o[i] *= old;
        for (int i = 0; i < min(32, end - j0); i++) {
            const float w = __shfl_sync(~0u, weight, i);
            const Element* value = values.row(j0 + i);
#pragma unroll
            for (int e = 0; e < kOut; e++)
                if (e * 32 + lane < VALUE_DIM) o[e] += w * to_float(value[e * 32 + lane]);
        }
    }
    if (SINKS) {
        const float top = fmaxf(m, p.sinks[h]), old = m == neg_inf() ? 0.0f : expf(m - top);
        sum = sum * old + expf(p.sinks[h] - top);
#pragma unroll
        for (int i = 0; i < kOut; i++) o[i] *= old;
    }
    const float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
#pragma unroll
    for (int e = 0; e < kOut; e++)
        if (e * 32 + lane < VALUE_DIM) from_float(o[e] * inverse, p.o[index * VALUE_DIM + e * 32 + lane]);
}
