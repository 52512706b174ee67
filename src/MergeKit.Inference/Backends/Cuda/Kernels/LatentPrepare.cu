// Latent attention: the norm of the key-value latent, and from expanded projections to what attention reads. One block per token.
// -D: ELEMENT_BF16 HEADS PLAIN_DIM ROTARY_DIM VALUE_DIM RANK INTERLEAVED
#include "common.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif

constexpr int kThreads = 128, kHead = PLAIN_DIM + ROTARY_DIM, kOwn = PLAIN_DIM + VALUE_DIM, kHalf = ROTARY_DIM / 2;

struct Params {
    const float* low;                                // [tokens, RANK + ROTARY_DIM]: latent and rotary key
    const float* weight;                             // of the norm, [RANK]
    Element* latent;                                 // [tokens, RANK], normed
    const float* projected;                          // [tokens, HEADS, kHead]: queries
    const float* expanded;                           // [tokens, HEADS, kOwn]: keys without rotary, values
    const float* cos; const float* sin;              // [rows, ROTARY_DIM / 2]
    const int* rope_rows;                            // [tokens]
    const int2* places;                              // [tokens]: sequence, position
    const int* table;
    Element* queries; Element* keys; Element* values;// ragged [tokens, HEADS, width]
    Element* key_pages; Element* value_pages;        // [page][head][64][width]; null: nothing is kept
    int table_stride;
    float eps;
};

extern "C" __global__ void __launch_bounds__(kThreads) latent_norm(const __grid_constant__ Params p) {
    __shared__ float scratch[kThreads / 32];
    const i64 t = blockIdx.x;
    const float* x = p.low + t * (RANK + ROTARY_DIM);
    float sum = 0;
    for (int i = threadIdx.x; i < RANK; i += kThreads) sum += x[i] * x[i];
    const float scale = 1.0f / sqrtf(block_sum<kThreads>(sum, scratch) / RANK + p.eps);
    for (int i = threadIdx.x; i < RANK; i += kThreads) from_float(x[i] * scale * p.weight[i], p.latent[t * RANK + i]);
}

// Element i of a rotated part x.
__device__ __forceinline__ float rotated(const float* x, int i, const float* cos, const float* sin) {
    const int j = INTERLEAVED ? i >> 1 : i % kHalf;
    const bool second = INTERLEAVED ? i & 1 : i >= kHalf;
    const float a = x[INTERLEAVED ? 2 * j : j], b = x[INTERLEAVED ? 2 * j + 1 : j + kHalf];
    return second ? b * cos[j] + a * sin[j] : a * cos[j] - b * sin[j];
}

extern "C" __global__ void __launch_bounds__(kThreads) latent_prepare(const __grid_constant__ Params p) {
    const i64 t = blockIdx.x, row = (i64)p.rope_rows[t] * kHalf;
    const float* cos = p.cos + row;
    const float* sin = p.sin + row;
    const float* rotary = p.low + t * (RANK + ROTARY_DIM) + RANK;
    const int2 place = p.places[t];
    const i64 page = p.key_pages ? p.table[(i64)place.x * p.table_stride + (place.y >> 6)] : 0;
    for (int i = threadIdx.x; i < HEADS * kHead; i += kThreads) {
        const int head = i / kHead, d = i - head * kHead;
        const float* query = p.projected + (t * HEADS + head) * kHead;
        from_float(d < PLAIN_DIM ? query[d] : rotated(query + PLAIN_DIM, d - PLAIN_DIM, cos, sin), p.queries[t * HEADS * kHead + i]);
        Element key;
        from_float(d < PLAIN_DIM ? p.expanded[(t * HEADS + head) * kOwn + d] : rotated(rotary, d - PLAIN_DIM, cos, sin), key);
        p.keys[t * HEADS * kHead + i] = key;
        if (p.key_pages) p.key_pages[((page * HEADS + head) * 64 + (place.y & 63)) * kHead + d] = key;
    }
    for (int i = threadIdx.x; i < HEADS * VALUE_DIM; i += kThreads) {
        const int head = i / VALUE_DIM, d = i - head * VALUE_DIM;
        Element value;
        from_float(p.expanded[(t * HEADS + head) * kOwn + PLAIN_DIM + d], value);
        p.values[t * HEADS * VALUE_DIM + i] = value;
        if (p.value_pages) p.value_pages[((page * HEADS + head) * 64 + (place.y & 63)) * VALUE_DIM + d] = value;
    }
}
