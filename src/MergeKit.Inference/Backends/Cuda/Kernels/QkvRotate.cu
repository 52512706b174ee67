// What QkvPrepare.cu does, for heads of 64, 128 or 256 that are normalised each alone and rotated as a whole in halves, or not at all:
// HEAD_DIM / 16 lanes hold a head in registers, 8 elements of each half, so that nothing waits for other warps. A block per token,
// or per some heads of it where there are few tokens.
//
// -D: ELEMENT_BF16 HEADS KV_HEADS HEAD_DIM ROTATED GROUPED (layout by kv head) NORM (0 none, 1 rms, 2 layer)
#include "qkv.cuh"

constexpr int kLanes = HEAD_DIM / 16, kHalf = HEAD_DIM / 2, kTogether = kThreads / kLanes;   // heads of one round of a block
constexpr int kRounds = 3;                           // whose loads are under way together

struct Head { float a[8], b[8]; };

// The sum over the lanes of a head.
__device__ __forceinline__ float head_sum(float x) {
#pragma unroll
    for (int d = kLanes / 2; d; d >>= 1) x += __shfl_xor_sync(~0u, x, d);
    return x;
}

#if NORM
struct Moments { float mean, scale; };

// All lanes of a warp call it.
__device__ __forceinline__ Moments moments(const Head& h, float eps) {
    float mean = 0, square = 0;
#if NORM == 2
#pragma unroll
    for (int i = 0; i < 8; i++) mean += h.a[i] + h.b[i];
    mean = head_sum(mean) / HEAD_DIM;
#endif
#pragma unroll
    for (int i = 0; i < 8; i++) square += (h.a[i] - mean) * (h.a[i] - mean) + (h.b[i] - mean) * (h.b[i] - mean);
    return Moments{mean, 1.0f / sqrtf(head_sum(square) / HEAD_DIM + eps)};
}

// at: this lane's first element among the weights.
__device__ __forceinline__ void normalise(Head& h, const Moments& m, int at, const float* weight, const float* bias) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        h.a[i] = (h.a[i] - m.mean) * m.scale * weight[at + i] + (bias ? bias[at + i] : 0.0f);
        h.b[i] = (h.b[i] - m.mean) * m.scale * weight[at + kHalf + i] + (bias ? bias[at + kHalf + i] : 0.0f);
    }
}
#endif

__device__ __forceinline__ void store(const Head& h, Element* to) {
    store_floats<8>(to, h.a);
    store_floats<8>(to + kHalf, h.b);
}

extern "C" __global__ void __launch_bounds__(kThreads) qkv_rotate(const __grid_constant__ Params p) {
    const i64 t = blockIdx.x;
    const int own = threadIdx.x / kLanes, at = threadIdx.x % kLanes * 8, step = kTogether * gridDim.y;
    let_next_start();
    wait_for_previous();
    const int2 place = p.places[t];
    const i64 page = p.key_pages ? p.table[(i64)place.x * p.table_stride + (place.y >> 6)] : 0;
#if ROTATED
    float c[8], s[8];
    const i64 angles = (i64)p.rope_rows[t] * kHalf + at;
    load_floats<8>(p.cos + angles, c);
    load_floats<8>(p.sin + angles, s);
#endif
    for (int first = blockIdx.y * kTogether; first < HEADS + 2 * KV_HEADS; first += kRounds * step) {
        Head heads[kRounds] = {};
#pragma unroll
        for (int r = 0; r < kRounds; r++) {
            const int head = first + r * step + own;
            if (head >= HEADS + 2 * KV_HEADS) continue;
            const int source = source_of(head * HEAD_DIM) + at;
            load_floats<8>(p.qkv + t * kAll + source, heads[r].a);
            load_floats<8>(p.qkv + t * kAll + source + kHalf, heads[r].b);
        }
#pragma unroll
        for (int r = 0; r < kRounds; r++) {
            const int head = first + r * step + own;         // whole warps of it may be none: the sums need all lanes
            const bool exists = head < HEADS + 2 * KV_HEADS, is_query = head < HEADS, is_value = head >= HEADS + KV_HEADS;
            Head& h = heads[r];
            if (p.bias && exists) {
                const float* bias = p.bias + source_of(head * HEAD_DIM) + at;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    h.a[i] += bias[i];
                    h.b[i] += bias[i + kHalf];
                }
            }
#if NORM
            const Moments m = moments(h, is_query ? p.query_eps : p.key_eps);
            const float* weight = is_query ? p.query_weight : is_value ? nullptr : p.key_weight;
            if (weight) normalise(h, m, (is_query ? head * HEAD_DIM % p.query_weights : (head - HEADS) * HEAD_DIM % p.key_weights) + at, weight,
                                  is_query ? p.query_bias : p.key_bias);
#endif
#if ROTATED
            if (!is_value)
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    const float u = h.a[i], v = h.b[i];
                    h.a[i] = u * c[i] - v * s[i];
                    h.b[i] = v * c[i] + u * s[i];
                }
#endif
            if (!exists) continue;
            if (is_query) {
                store(h, p.queries + t * kQ + head * HEAD_DIM + at);
                continue;
            }
            const int k = head - (is_value ? HEADS + KV_HEADS : HEADS);
            store(h, (is_value ? p.values : p.keys) + t * kK + k * HEAD_DIM + at);
            if (p.key_pages) store(h, (is_value ? p.value_pages : p.key_pages) + ((page * KV_HEADS + k) * 64 + (place.y & 63)) * HEAD_DIM + at);
        }
    }
}
