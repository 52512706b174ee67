// From the fused projection of one token to what attention reads: bias, QK-norm, rotation, and the write of keys and
// values both to a ragged [token][kv head][D] buffer and to the pages of the cache. A block per token,
// or per some heads of it where there are few tokens.
//
// Pages: [page][kv head][64][D], one pool for keys and one for values; table[sequence][position / 64] is the page.
// -D: ELEMENT_BF16 HEADS KV_HEADS HEAD_DIM ROTARY_DIM (0: none) INTERLEAVED GROUPED (layout by kv head) VEC (elements per access; divides HEAD_DIM)
//     OWN (heads of a block: all of [q | k | v], or fewer where none are normalised together)
//     NORM (0 none, 1 rms, 2 layer) QUERY_GROUP KEY_GROUP (elements normalised together)
#include "qkv.cuh"

constexpr int kOwn = OWN * HEAD_DIM;

#if NORM
// A warp normalises `group` elements, the first of which is number `at` of all queries or keys.
__device__ __forceinline__ void normalise(float* v, int at, int group, const float* weight, const float* bias, int weights, float eps) {
    const int lane = threadIdx.x & 31;
    float mean = 0, square = 0;
    for (int i = lane; i < group; i += 32) mean += v[i];
    mean = NORM == 2 ? warp_sum(mean) / group : 0.0f;
    for (int i = lane; i < group; i += 32) square += (v[i] - mean) * (v[i] - mean);
    const float scale = 1.0f / sqrtf(warp_sum(square) / group + eps);
    for (int i = lane; i < group; i += 32) {
        const int w = (at + i) % weights;
        v[i] = (v[i] - mean) * scale * weight[w] + (bias ? bias[w] : 0.0f);
    }
}

// The warps take the groups of the block in turn; x begins with number `first` of [q | k | v].
__device__ __forceinline__ void normalise_all(const Params& p, float* x, int first) {
    const int end = min(first + kOwn, kQ + kK), warp = threadIdx.x >> 5;
    if (p.query_weight)
        for (int at = first + warp * QUERY_GROUP; at < min(end, kQ); at += kThreads / 32 * QUERY_GROUP)
            normalise(x + at - first, at, QUERY_GROUP, p.query_weight, p.query_bias, p.query_weights, p.query_eps);
    if (p.key_weight)
        for (int at = max(first, kQ) + warp * KEY_GROUP; at < end; at += kThreads / 32 * KEY_GROUP)
            normalise(x + at - first, at - kQ, KEY_GROUP, p.key_weight, p.key_bias, p.key_weights, p.key_eps);
}
#endif

__device__ __forceinline__ void store(const float* from, Element* to) {
    float v[VEC];
#pragma unroll
    for (int e = 0; e < VEC; e++) v[e] = from[e];
    store_floats<VEC>(to, v);
}

extern "C" __global__ void __launch_bounds__(kThreads) qkv_prepare(const __grid_constant__ Params p) {
    extern __shared__ __align__(16) float x[];       // the block's part of [q | k | v] of the token
    const i64 t = blockIdx.x;
    const int first = blockIdx.y * kOwn, own = min(kOwn, kAll - first);
    let_next_start();
    wait_for_previous();
    for (int i = threadIdx.x * VEC; i < own; i += kThreads * VEC) {
        const int s = source_of(first + i);
        float v[VEC];
        load_floats<VEC>(p.qkv + t * kAll + s, v);
#pragma unroll
        for (int e = 0; e < VEC; e++) x[i + e] = v[e] + (p.bias ? p.bias[s + e] : 0.0f);
    }
    const int2 place = p.places[t];
    const i64 page = p.key_pages ? p.table[(i64)place.x * p.table_stride + (place.y >> 6)] : 0;
    __syncthreads();
#if NORM
    normalise_all(p, x, first);
    __syncthreads();
#endif
#if ROTARY_DIM
    constexpr int kHalf = ROTARY_DIM / 2;
    const i64 row = (i64)p.rope_rows[t] * kHalf;
    const int heads = min(OWN, HEADS + KV_HEADS - (int)blockIdx.y * OWN);
    for (int i = threadIdx.x; i < heads * kHalf; i += kThreads) {
        const int head = i / kHalf, j = i - head * kHalf;
        float* a = x + head * HEAD_DIM + (INTERLEAVED ? 2 * j : j);
        float* b = a + (INTERLEAVED ? 1 : kHalf);
        const float c = p.cos[row + j], s = p.sin[row + j], u = *a, v = *b;
        *a = u * c - v * s;
        *b = v * c + u * s;
    }
    __syncthreads();
#endif
    for (int i = threadIdx.x * VEC; i < own; i += kThreads * VEC) {
        const int at = first + i;
        if (at < kQ) {
            store(x + i, p.queries + t * kQ + at);
            continue;
        }
        const bool is_key = at < kQ + kK;
        const int k = at - (is_key ? kQ : kQ + kK);
        store(x + i, (is_key ? p.keys : p.values) + t * kK + k);
        if (p.key_pages) store(x + i, (is_key ? p.key_pages : p.value_pages) + ((page * KV_HEADS + k / HEAD_DIM) * 64 + (place.y & 63)) * HEAD_DIM + k % HEAD_DIM);
    }
}
