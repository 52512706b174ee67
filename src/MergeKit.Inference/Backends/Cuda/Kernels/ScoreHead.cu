// Log-probabilities over chunks of the vocabulary: the online maximum, sum of exponentials, target logit and arg-max
// of each row, updated by one chunk of logits; never holds rows x vocabulary. One block per row.
// Or from what GroupedProduct.cu leaves of each row and part of the vocabulary.
// -D: THREADS
#include "common.cuh"

struct State { float max, sum, target; int arg_max; };

struct Params {
    const float* logits;         // [rows, width] of the chunk
    const float* bias;           // of the whole vocabulary, may be null
    const int* targets;
    State* states;
    int width, first;            // columns of the chunk, and the id of its first
    float scale, softcap;        // softcap 0: none
};

extern "C" __global__ void __launch_bounds__(THREADS) score_start(const __grid_constant__ Params p) {
    const int r = blockIdx.x * THREADS + threadIdx.x;
    if (r < p.width) p.states[r] = State{neg_inf(), 0.0f, neg_inf(), 0};
}

__device__ __forceinline__ float logit(const Params& p, const float* row, int c) {
    float x = row[c];
    if (p.bias) x += p.bias[p.first + c];
    x *= p.scale;
    return p.softcap > 0.0f ? tanhf(x / p.softcap) * p.softcap : x;
}

extern "C" __global__ void __launch_bounds__(THREADS) score_update(const __grid_constant__ Params p) {
    constexpr int kWarps = THREADS / 32;
    __shared__ float maxima[kWarps], sums[kWarps];
    __shared__ int places[kWarps];
    const float* row = p.logits + (i64)blockIdx.x * p.width;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    float m = neg_inf(), s = 0;
    int at = 0x7fffffff;
    for (int c = threadIdx.x; c < p.width; c += THREADS) {
        const float x = logit(p, row, c);
        if (x > m) {
            s = s * __expf(m - x) + 1.0f;
            m = x;
            at = p.first + c;
        } else {
            s += m == neg_inf() ? 0.0f : __expf(x - m);
        }
    }
#pragma unroll
    for (int d = 16; d; d >>= 1) {                   // equal maxima: the lower id
        const float om = __shfl_xor_sync(~0u, m, d), os = __shfl_xor_sync(~0u, s, d);
        const int oat = __shfl_xor_sync(~0u, at, d);
        const float top = fmaxf(m, om);
        s = top == neg_inf() ? 0.0f : s * __expf(m - top) + os * __expf(om - top);
        if (om > m || (om == m && oat < at)) at = oat;
        m = top;
    }
    if (lane == 0) {
        maxima[warp] = m;
        sums[warp] = s;
        places[warp] = at;
    }
    __syncthreads();
    if (threadIdx.x) return;
    State st = p.states[blockIdx.x];
    float top = st.max;
    for (int w = 0; w < kWarps; w++) top = fmaxf(top, maxima[w]);
    float sum = st.max == neg_inf() ? 0.0f : st.sum * expf(st.max - top);
    int best = st.max == top ? st.arg_max : 0x7fffffff;
    for (int w = 0; w < kWarps; w++) {
        if (maxima[w] != neg_inf()) sum += sums[w] * expf(maxima[w] - top);
        if (maxima[w] == top) best = min(best, places[w]);
    }
    const int target = p.targets[blockIdx.x] - p.first;
    if (target >= 0 && target < p.width) st.target = logit(p, row, target);
    p.states[blockIdx.x] = State{top, sum, st.target, best};
}

// The largest logit and its id, the lowest of equal ones: first per block of columns, then over a row's blocks.
struct Best { float value; int id; };

__device__ __forceinline__ Best better(Best a, Best b) { return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a; }

__device__ __forceinline__ Best warp_best(Best x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x = better(x, Best{__shfl_xor_sync(~0u, x.value, d), __shfl_xor_sync(~0u, x.id, d)});
    return x;
}

struct BestParams {
    const float* logits;         // [rows, width]
    const float* bias;           // may be null
    Best* parts;                 // [rows, blocks]
    int* ids;                    // [rows]
    int width, blocks;
};

extern "C" __global__ void __launch_bounds__(THREADS) arg_max(const __grid_constant__ BestParams p) {
    __shared__ Best warps[THREADS / 32];
    const float* row = p.logits + (i64)blockIdx.y * p.width;
    Best best{neg_inf(), 0x7fffffff};
    for (int c = blockIdx.x * THREADS + threadIdx.x; c < p.width; c += p.blocks * THREADS) {
        const float x = row[c] + (p.bias ? p.bias[c] : 0.0f);
        best = better(best, Best{x == x ? x : -neg_inf(), c});
    }
    best = warp_best(best);
    if ((threadIdx.x & 31) == 0) warps[threadIdx.x >> 5] = best;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < THREADS / 32; w++) best = better(best, warps[w]);
    p.parts[blockIdx.y * p.blocks + blockIdx.x] = best;
}

extern "C" __global__ void __launch_bounds__(32) arg_max_merge(const __grid_constant__ BestParams p) {
    Best best{neg_inf(), 0x7fffffff};
    for (int i = threadIdx.x; i < p.blocks; i += 32) best = better(best, p.parts[blockIdx.x * p.blocks + i]);
    best = warp_best(best);
    if (threadIdx.x == 0) p.ids[blockIdx.x] = best.value > neg_inf() && best.value < -neg_inf() ? best.id : -1;   // NaN counts as infinity
}

struct Partial { float max, sum; int arg_max, unused; };

struct MergeParams {
    const Partial* partials;     // [rows, parts]
    const float* targets_logit;  // [rows], where the target is a column
    const int* targets;
    State* states;
    int parts, width;            // width: of the vocabulary
};

// One warp per row; the parts in a fixed order.
extern "C" __global__ void __launch_bounds__(32) score_merge(const __grid_constant__ MergeParams p) {
    const Partial* row = p.partials + (i64)blockIdx.x * p.parts;
    const int lane = threadIdx.x;
    float m = neg_inf(), s = 0;
    int at = 0x7fffffff;
    for (int i = lane; i < p.parts; i += 32) m = fmaxf(m, row[i].max);
    m = warp_max(m);
    for (int i = lane; i < p.parts; i += 32) {
        const Partial x = row[i];
        if (x.max != neg_inf()) s += x.sum * __expf(x.max - m);
        if (x.max == m) at = min(at, x.arg_max);
    }
    s = warp_sum(s);
#pragma unroll
    for (int d = 16; d; d >>= 1) at = min(at, __shfl_xor_sync(~0u, at, d));
    if (lane) return;
    const int target = p.targets[blockIdx.x];
    p.states[blockIdx.x] = State{m, s, target >= 0 && target < p.width ? p.targets_logit[blockIdx.x] : neg_inf(), at};
}
