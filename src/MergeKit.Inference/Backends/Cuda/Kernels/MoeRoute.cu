// The choice of experts of each token: scores, limit to the best groups, the K best, weights. One warp per token.
// -D: EXPERTS TOP_K SCORING (0 softmax, 1 sigmoid, 2 softmax of the chosen) NORMALISE GROUPS TOP_GROUPS BEST_TWO
#include "common.cuh"

struct Params {
    const float* logits;         // [tokens, EXPERTS]
    const float* correction;     // added for the choice only; may be null
    int* experts;                // [tokens, TOP_K], by falling weight
    float* weights;              // [tokens, TOP_K]
    int tokens;
    float scale;
};

constexpr int kWarps = 4;

// The place of the largest value, the lowest of equal ones; 0 where none is above -infinity.
__device__ __forceinline__ int best_of(const float* x, int count) {
    float m = neg_inf();
    int at = 0x7fffffff;
    for (int i = threadIdx.x & 31; i < count; i += 32)
        if (x[i] > m) {
            m = x[i];
            at = i;
        }
#pragma unroll
    for (int d = 16; d; d >>= 1) {
        const float om = __shfl_xor_sync(~0u, m, d);
        const int oat = __shfl_xor_sync(~0u, at, d);
        if (om > m || (om == m && oat < at)) {
            m = om;
            at = oat;
        }
    }
    return at < count ? at : 0;
}

__device__ __forceinline__ void softmax(float* x, int count) {
    const int lane = threadIdx.x & 31;
    float m = neg_inf(), sum = 0;
    for (int i = lane; i < count; i += 32) m = fmaxf(m, x[i]);
    m = warp_max(m);
    for (int i = lane; i < count; i += 32) {
        x[i] = expf(x[i] - m);
        sum += x[i];
    }
    sum = warp_sum(sum);
    for (int i = lane; i < count; i += 32) x[i] /= sum;
    __syncwarp();
}

extern "C" __global__ void __launch_bounds__(kWarps * 32) moe_route(const __grid_constant__ Params p) {
    __shared__ float all_scores[kWarps][EXPERTS], all_ranks[kWarps][EXPERTS], all_weights[kWarps][TOP_K];
    __shared__ int all_chosen[kWarps][TOP_K];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const i64 t = (i64)blockIdx.x * kWarps + warp;
    if (t >= p.tokens) return;
    float* scores = all_scores[warp];
    float* ranks = all_ranks[warp];
    for (int i = lane; i < EXPERTS; i += 32) scores[i] = SCORING == 1 ? 1.0f / (1.0f + expf(-p.logits[t * EXPERTS + i])) : p.logits[t * EXPERTS + i];
    __syncwarp();
    if (SCORING == 0) softmax(scores, EXPERTS);
    for (int i = lane; i < EXPERTS; i += 32) ranks[i] = scores[i] + (p.correction ? p.correction[i] : 0.0f);
    __syncwarp();
#if GROUPS > 1
    constexpr int kSize = EXPERTS / GROUPS;
    __shared__ float all_groups[kWarps][GROUPS];     // 64 groups at most
    float* groups = all_groups[warp];
    for (int g = lane; g < GROUPS; g += 32) {
        float first = neg_inf(), second = neg_inf();
        for (int i = 0; i < kSize; i++) {
            const float x = ranks[g * kSize + i];
            if (x > first) {
                second = first;
                first = x;
            } else {
                second = fmaxf(second, x);
            }
        }
        groups[g] = BEST_TWO && kSize > 1 ? first + second : first;
    }
    __syncwarp();
    u64 kept = 0;
    for (int k = 0; k < TOP_GROUPS; k++) {
        const int g = best_of(groups, GROUPS);
        kept |= 1ull << g;
        __syncwarp();
        if (lane == 0) groups[g] = neg_inf();
        __syncwarp();
    }
    for (int i = lane; i < EXPERTS; i += 32)
        if (!(kept >> (i / kSize) & 1)) ranks[i] = neg_inf();
    __syncwarp();
#endif
    float* weights = all_weights[warp];
    int* chosen = all_chosen[warp];
    for (int k = 0; k < TOP_K; k++) {
        const int e = best_of(ranks, EXPERTS);
        __syncwarp();
        if (lane == 0) {
            chosen[k] = e;
            weights[k] = scores[e];
            ranks[e] = neg_inf();
        }
        __syncwarp();
    }
    if (SCORING == 2) softmax(weights, TOP_K);
    if (lane == 0) {
        float sum = 0;
        for (int k = 0; k < TOP_K; k++) sum += weights[k];
        for (int k = 0; k < TOP_K; k++) weights[k] = (NORMALISE && TOP_K > 1 ? weights[k] / (sum + 1e-20f) : weights[k]) * p.scale;
        for (int i = 1; i < TOP_K; i++)
            for (int j = i; j > 0 && weights[j] > weights[j - 1]; j--) {
                const float w = weights[j];
                const int e = chosen[j];
                weights[j] = weights[j - 1];
                chosen[j] = chosen[j - 1];
                weights[j - 1] = w;
                chosen[j - 1] = e;
            }
    }
    __syncwarp();
    for (int k = lane; k < TOP_K; k += 32) {
        p.experts[t * TOP_K + k] = chosen[k];
        p.weights[t * TOP_K + k] = weights[k];
    }
}
