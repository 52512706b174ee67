// From the fused projection of one token to what attention reads: bias, QK-norm, rotation, and the write of keys and
// values both to a ragged [token][kv head][D] buffer and to the pages of the cache. One block per token; through shared
// memory where a norm has to see a head or token whole.
//
// Pages: [page][kv head][64][D], one pool for keys and one for values; table[sequence][position / 64] is the page.
// -D: ELEMENT_BF16 HEADS KV_HEADS HEAD_DIM ROTARY_DIM (0: none) INTERLEAVED GROUPED (layout by kv head)
//     NORM (0 none, 1 rms, 2 layer) QUERY_GROUP KEY_GROUP (elements normalised together)
#include "common.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif

constexpr int kThreads = 128;
constexpr int kQ = HEADS * HEAD_DIM, kK = KV_HEADS * HEAD_DIM, kAll = kQ + 2 * kK;

struct Params {
    const Element* qkv;                              // [tokens, kAll]
    const float* bias;                               // may be null
    const float* query_weight; const float* query_bias;
    const float* key_weight; const float* key_bias;
    const float* cos; const float* sin;              // [rows, ROTARY_DIM / 2]
    const int* rope_rows;                            // [tokens]
    const int2* places;                              // [tokens]: sequence, position
    const int* table;
    Element* queries;                                // [tokens, kQ]
    Element* keys; Element* values;                  // [tokens, kK], ragged
    Element* key_pages; Element* value_pages;
    int table_stride, query_weights, key_weights;
    float query_eps, key_eps;
};

__device__ __forceinline__ int source_of(int i) {    // where element i of [q | k | v] lies in the projection
#if GROUPED
    constexpr int kGroup = HEADS / KV_HEADS, kBlock = (kGroup + 2) * HEAD_DIM;
    if (i < kQ) return i / (kGroup * HEAD_DIM) * kBlock + i % (kGroup * HEAD_DIM);
    if (i < kQ + kK) return (i - kQ) / HEAD_DIM * kBlock + kGroup * HEAD_DIM + (i - kQ) % HEAD_DIM;
    return (i - kQ - kK) / HEAD_DIM * kBlock + (kGroup + 1) * HEAD_DIM + (i - kQ - kK) % HEAD_DIM;
#else
    return i;
#endif
}

#if NORM == 0 && HEAD_DIM % 8 == 0 && ROTARY_DIM % 16 == 0
#define DIRECT 1                                     // no need to see a token whole: 8 elements at a time, or 8 and what they are rotated with
#else
#define DIRECT 0
constexpr int kVec = HEAD_DIM % 2 == 0 ? 2 : 1;      // elements per access of the pass through shared memory
#endif

#if DIRECT
__device__ __forceinline__ void load(const Params& p, i64 t, int i, float (&x)[8]) {
    const int s = source_of(i);
    load_floats<8>(p.qkv + t * kAll + s, x);
    if (p.bias) {
        float b[8];
        load_floats<8>(p.bias + s, b);
#pragma unroll
        for (int e = 0; e < 8; e++) x[e] += b[e];
    }
}
__device__ __forceinline__ void store(const Params& p, i64 t, i64 page, int row, int i, const float (&x)[8]) {
    if (i < kQ) {
        store_floats<8>(p.queries + t * kQ + i, x);
        return;
    }
    const bool key = i < kQ + kK;
    i -= key ? kQ : kQ + kK;
    store_floats<8>((key ? p.keys : p.values) + t * kK + i, x);
    store_floats<8>((key ? p.key_pages : p.value_pages) + ((page * KV_HEADS + i / HEAD_DIM) * 64 + row) * HEAD_DIM + i % HEAD_DIM, x);
}
#endif

#if NORM
// The warps take groups in turn.
__device__ __forceinline__ void normalise(float* x, int width, int group, const float* weight, const float* bias, int weights, float eps) {
    const int lane = threadIdx.x & 31;
    for (int g = threadIdx.x >> 5; g < width / group; g += kThreads / 32) {
        float* v = x + g * group;
        float mean = 0, square = 0;
        for (int i = lane; i < group; i += 32) mean += v[i];
        mean = NORM == 2 ? warp_sum(mean) / group : 0.0f;
        for (int i = lane; i < group; i += 32) square += (v[i] - mean) * (v[i] - mean);
        const float scale = 1.0f / sqrtf(warp_sum(square) / group + eps);
        for (int i = lane; i < group; i += 32) {
            const int w = (g * group + i) % weights;
            v[i] = (v[i] - mean) * scale * weight[w] + (bias ? bias[w] : 0.0f);
        }
    }
}
#endif

extern "C" __global__ void __launch_bounds__(kThreads) qkv_prepare(const __grid_constant__ Params p) {
    const i64 t = blockIdx.x;
    const int2 place = p.places[t];
    const i64 page = p.table[(i64)place.x * p.table_stride + (place.y >> 6)];
#if DIRECT
    constexpr int kRest = (HEAD_DIM - ROTARY_DIM) / 8, kKept = (HEADS + KV_HEADS) * kRest;
#if ROTARY_DIM
    constexpr int kHalf = ROTARY_DIM / 2, kTurned = (HEADS + KV_HEADS) * (INTERLEAVED ? ROTARY_DIM : kHalf) / 8;
    const i64 angles = (i64)p.rope_rows[t] * kHalf;
    for (int n = threadIdx.x; n < kTurned; n += kThreads) {
#if INTERLEAVED
        const int i = n / (ROTARY_DIM / 8) * HEAD_DIM + n % (ROTARY_DIM / 8) * 8, j = n % (ROTARY_DIM / 8) * 4;
        float x[8], y[8], c[4], s[4];
        load(p, t, i, x);
        load_floats<4>(p.cos + angles + j, c);
        load_floats<4>(p.sin + angles + j, s);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            y[2 * e] = x[2 * e] * c[e] - x[2 * e + 1] * s[e];
            y[2 * e + 1] = x[2 * e + 1] * c[e] + x[2 * e] * s[e];
        }
        store(p, t, page, place.y & 63, i, y);
#else
        const int j = n % (kHalf / 8) * 8, i = n / (kHalf / 8) * HEAD_DIM + j;
        float u[8], v[8], c[8], s[8], a[8], b[8];
        load(p, t, i, u);
        load(p, t, i + kHalf, v);
        load_floats<8>(p.cos + angles + j, c);
        load_floats<8>(p.sin + angles + j, s);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            a[e] = u[e] * c[e] - v[e] * s[e];
            b[e] = v[e] * c[e] + u[e] * s[e];
        }
        store(p, t, page, place.y & 63, i, a);
        store(p, t, page, place.y & 63, i + kHalf, b);
#endif
    }
#endif
    for (int n = threadIdx.x; n < kKept + kK / 8; n += kThreads) {
        const int i = kRest && n < kKept ? n / max(kRest, 1) * HEAD_DIM + ROTARY_DIM + n % max(kRest, 1) * 8 : kQ + kK + (n - kKept) * 8;
        float x[8];
        load(p, t, i, x);
        store(p, t, page, place.y & 63, i, x);
    }
#else
    extern __shared__ __align__(16) float x[];       // [q | k | v] of the token
    for (int i = threadIdx.x * kVec; i < kAll; i += kThreads * kVec) {
        const int s = source_of(i);
        float v[kVec];
        load_floats<kVec>(p.qkv + t * kAll + s, v);
        if (p.bias)
#pragma unroll
            for (int e = 0; e < kVec; e++) v[e] += p.bias[s + e];
#pragma unroll
        for (int e = 0; e < kVec; e++) x[i + e] = v[e];
    }
    __syncthreads();
#if NORM
    if (p.query_weight) normalise(x, kQ, QUERY_GROUP, p.query_weight, p.query_bias, p.query_weights, p.query_eps);
    if (p.key_weight) normalise(x + kQ, kK, KEY_GROUP, p.key_weight, p.key_bias, p.key_weights, p.key_eps);
    __syncthreads();
#endif
#if ROTARY_DIM
    constexpr int kHalf = ROTARY_DIM / 2;
    const i64 row = (i64)p.rope_rows[t] * kHalf;
    for (int i = threadIdx.x; i < (HEADS + KV_HEADS) * kHalf; i += kThreads) {
        const int head = i / kHalf, j = i - head * kHalf;
        float* a = x + head * HEAD_DIM + (INTERLEAVED ? 2 * j : j);
        float* b = a + (INTERLEAVED ? 1 : kHalf);
        const float c = p.cos[row + j], s = p.sin[row + j], u = *a, v = *b;
        *a = u * c - v * s;
        *b = v * c + u * s;
    }
    __syncthreads();
#endif
    for (int i = threadIdx.x * kVec; i < kQ; i += kThreads * kVec) store_floats<kVec>(p.queries + t * kQ + i, *(const float (*)[kVec])(x + i));
    for (int i = threadIdx.x * kVec; i < kK; i += kThreads * kVec) {
        const i64 at = ((page * KV_HEADS + i / HEAD_DIM) * 64 + (place.y & 63)) * HEAD_DIM + i % HEAD_DIM;
        const float (&k)[kVec] = *(const float (*)[kVec])(x + kQ + i), (&v)[kVec] = *(const float (*)[kVec])(x + kQ + kK + i);
        store_floats<kVec>(p.keys + t * kK + i, k);
        store_floats<kVec>(p.values + t * kK + i, v);
        store_floats<kVec>(p.key_pages + at, k);
        store_floats<kVec>(p.value_pages + at, v);
    }
#endif
}
