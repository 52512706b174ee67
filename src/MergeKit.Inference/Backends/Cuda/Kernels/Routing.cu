// From router logits to experts: the choice of each token, and where the rows of each expert lie.
//
// An entry is a (token, choice) pair. Rows of an expert stand in the order of their entries, and sums over choices are
// taken in their order, so that results repeat.
// -D: EXPERTS TOP_K SCORING (0 softmax, 1 sigmoid, 2 softmax of the chosen) GROUPS TOP_GROUPS SUM_OF_TWO NORMALISE (of `route`)
//     ELEMENT_BF16 (of `permute`, `unpermute`) OUT_BF16 ACCUMULATE (of `unpermute`)
#include "common.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif
#if OUT_BF16
typedef bf16 Out;
#else
typedef float Out;
#endif

struct Params {
    const float* logits;         // [tokens, EXPERTS]
    const float* correction;     // [EXPERTS], added for the choice only; may be null
    int* experts;                // [entries], by falling weight
    float* weights;              // [entries]
    int* counts;                 // [chunks, EXPERTS]: entries, then the first row of each chunk
    int* ends;                   // [EXPERTS]: the row behind the last of each expert
    int* rows;                   // [entries]: the row of each entry
    const Element* x;            // permute: [tokens, width]; unpermute: [entries, width] by row
    Element* permuted;           // [entries, width]
    Out* y;                      // [tokens, width]
    int tokens, width;
    float scale;
};

constexpr int kThreads = 1024, kWarps = kThreads / 32, kWidthThreads = 256;
constexpr int kOwn = (EXPERTS + 31) / 32;            // experts of a lane

// The largest value of a warp and the lowest index that has it.
__device__ __forceinline__ void warp_arg_max(float& value, int& index) {
#pragma unroll
    for (int d = 16; d; d >>= 1) {
        const float other = __shfl_xor_sync(~0u, value, d);
        const int at = __shfl_xor_sync(~0u, index, d);
        if (other > value || (other == value && at < index)) {
            value = other;
            index = at;
        }
    }
}

// The choice of a token by one warp; lane k of the first TOP_K ends with choice k.
extern "C" __global__ void __launch_bounds__(128) route(const __grid_constant__ Params p) {
#if GROUPS > 1
    __shared__ float ranks[4][EXPERTS], bests[4][GROUPS];
#endif
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, token = blockIdx.x * 4 + warp;
    let_next_start();
    wait_for_previous();
    if (token >= p.tokens) return;
    float score[kOwn];                               // of expert lane + 32 i
#pragma unroll
    for (int i = 0; i < kOwn; i++) score[i] = lane + 32 * i < EXPERTS ? p.logits[(i64)token * EXPERTS + lane + 32 * i] : neg_inf();
#if SCORING == 0
    float max = neg_inf(), sum = 0;
#pragma unroll
    for (int i = 0; i < kOwn; i++) max = fmaxf(max, score[i]);
    max = warp_max(max);
#pragma unroll
    for (int i = 0; i < kOwn; i++) {
        score[i] = expf(score[i] - max);
        sum += score[i];
    }
    sum = warp_sum(sum);
#pragma unroll
    for (int i = 0; i < kOwn; i++) score[i] /= sum;
#elif SCORING == 1
#pragma unroll
    for (int i = 0; i < kOwn; i++) score[i] = 1.0f / (1.0f + expf(-score[i]));
#endif
    float value[kOwn];
#pragma unroll
    for (int i = 0; i < kOwn; i++) {
        const int e = lane + 32 * i;
        value[i] = e < EXPERTS ? score[i] + (p.correction ? p.correction[e] : 0.0f) : neg_inf();
    }
#if GROUPS > 1
    float* rank = ranks[warp];
#pragma unroll
    for (int i = 0; i < kOwn; i++)
        if (lane + 32 * i < EXPERTS) rank[lane + 32 * i] = value[i];
    constexpr int kSize = EXPERTS / GROUPS;
    __syncwarp();
    for (int g = lane; g < GROUPS; g += 32) {
        float first = neg_inf(), second = neg_inf();
        for (int e = g * kSize; e < (g + 1) * kSize; e++) {
            const float v = rank[e];
            second = fmaxf(second, fminf(first, v));
            first = fmaxf(first, v);
        }
        bests[warp][g] = SUM_OF_TWO && kSize > 1 ? first + second : first;
    }
    __syncwarp();
    u64 kept[(GROUPS + 63) / 64] = {};
    for (int n = 0; n < TOP_GROUPS; n++) {
        float best = neg_inf();
        int at = 0x7fffffff;
        for (int g = lane; g < GROUPS; g += 32)
            if (!(kept[g / 64] >> (g % 64) & 1) && (bests[warp][g] > best || at == 0x7fffffff)) {
                best = bests[warp][g];
                at = g;
            }
        warp_arg_max(best, at);
        kept[at / 64] |= 1ull << (at % 64);
    }
#pragma unroll
    for (int i = 0; i < kOwn; i++) {
        const int g = min(lane + 32 * i, EXPERTS - 1) / kSize;
        if (!(kept[g / 64] >> (g % 64) & 1)) value[i] = neg_inf();
    }
#endif
    float weight = 0;
    int expert = 0;
    u32 taken = 0;                                   // of this lane's experts
    for (int k = 0; k < TOP_K; k++) {
        float best = neg_inf(), own = 0;
        int at = 0x7fffffff;
#pragma unroll
        for (int i = 0; i < kOwn; i++)
            if (lane + 32 * i < EXPERTS && !(taken >> i & 1) && (value[i] > best || at == 0x7fffffff)) {
                best = value[i];
                at = lane + 32 * i;
            }
        warp_arg_max(best, at);
#pragma unroll
        for (int i = 0; i < kOwn; i++)
            if (at == lane + 32 * i) {
                taken |= 1u << i;
                own = score[i];
            }
        own = __shfl_sync(~0u, own, at & 31);
        if (lane == k) {
            weight = own;
            expert = at;
        }
    }
    const bool chosen = lane < TOP_K;
#if SCORING == 2
    const float top = warp_max(chosen ? weight : neg_inf());
    weight = chosen ? expf(weight - top) : 0.0f;
    weight /= warp_sum(weight);
#endif
#if NORMALISE
    weight /= warp_sum(chosen ? weight : 0.0f) + 1e-20f;
#endif
    weight *= p.scale;
    int place = 0;                                   // by falling weight; equal ones keep their order
#pragma unroll
    for (int k = 0; k < TOP_K; k++) {
        const float other = __shfl_sync(~0u, weight, k);
        place += other > weight || (other == weight && k < lane);
    }
    if (chosen) {
        p.experts[(i64)token * TOP_K + place] = expert;
        p.weights[(i64)token * TOP_K + place] = weight;
    }
}

// How many entries of a chunk go to each expert before this thread's entry, and in all.
__device__ __forceinline__ int rank_in_chunk(u16 (&counts)[kWarps][EXPERTS], int expert, int* totals) {
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    for (int i = threadIdx.x; i < kWarps * EXPERTS; i += kThreads) ((u16*)counts)[i] = 0;
    __syncthreads();
    const u32 same = __match_any_sync(~0u, expert), before = __popc(same & ((1u << lane) - 1));
    if (expert >= 0 && before == 0) counts[warp][expert] = (u16)__popc(same);
    __syncthreads();
    for (int e = threadIdx.x; e < EXPERTS; e += kThreads) {
        int sum = 0;
        for (int w = 0; w < kWarps; w++) {
            const int c = counts[w][e];
            counts[w][e] = (u16)sum;
            sum += c;
        }
        if (totals) totals[e] = sum;
    }
    __syncthreads();
    return expert >= 0 ? counts[warp][expert] + (int)before : 0;
}

// The first row of each expert, from the number of its rows; all threads call it. Writes the ends.
__device__ __forceinline__ void scan_experts(const Params& p, int* firsts) {
    const int lane = threadIdx.x & 31;
    if (threadIdx.x < 32) {
        int base = 0;
        for (int e0 = 0; e0 < EXPERTS; e0 += 32) {
            const int e = e0 + lane, count = e < EXPERTS ? firsts[e] : 0;
            int sum = count;
#pragma unroll
            for (int i = 1; i < 32; i <<= 1) {
                const int x = __shfl_up_sync(~0u, sum, i);
                if (lane >= i) sum += x;
            }
            if (e < EXPERTS) {
                firsts[e] = base + sum - count;
                p.ends[e] = base + sum;
            }
            base += __shfl_sync(~0u, sum, 31);
        }
    }
    __syncthreads();
}

// All in one block, for as many entries as it has threads.
extern "C" __global__ void __launch_bounds__(kThreads) place_few(const __grid_constant__ Params p) {
    __shared__ u16 counts[kWarps][EXPERTS];
    __shared__ int firsts[EXPERTS];
    let_next_start();
    wait_for_previous();
    const int entry = threadIdx.x, expert = entry < p.tokens * TOP_K ? p.experts[entry] : -1;
    const int rank = rank_in_chunk(counts, expert, firsts);
    scan_experts(p, firsts);
    if (expert >= 0) p.rows[entry] = firsts[expert] + rank;
}

extern "C" __global__ void __launch_bounds__(kThreads) count_chunk(const __grid_constant__ Params p) {
    __shared__ u16 counts[kWarps][EXPERTS];
    const i64 entry = (i64)blockIdx.x * kThreads + threadIdx.x;
    rank_in_chunk(counts, entry < (i64)p.tokens * TOP_K ? p.experts[entry] : -1, p.counts + (i64)blockIdx.x * EXPERTS);
}

extern "C" __global__ void __launch_bounds__(kThreads) scan_chunks(const __grid_constant__ Params p) {
    __shared__ int firsts[EXPERTS];
    const int chunks = (int)(((i64)p.tokens * TOP_K + kThreads - 1) / kThreads);
    for (int e = threadIdx.x; e < EXPERTS; e += kThreads) {
        int sum = 0;
        for (int c = 0; c < chunks; c++) {
            const int count = p.counts[(i64)c * EXPERTS + e];
            p.counts[(i64)c * EXPERTS + e] = sum;
            sum += count;
        }
        firsts[e] = sum;
    }
    __syncthreads();
    scan_experts(p, firsts);
    for (int e = threadIdx.x; e < EXPERTS; e += kThreads)
        for (int c = 0; c < chunks; c++) p.counts[(i64)c * EXPERTS + e] += firsts[e];
}

extern "C" __global__ void __launch_bounds__(kThreads) place_chunk(const __grid_constant__ Params p) {
    __shared__ u16 counts[kWarps][EXPERTS];
    const i64 entry = (i64)blockIdx.x * kThreads + threadIdx.x;
    const int expert = entry < (i64)p.tokens * TOP_K ? p.experts[entry] : -1, rank = rank_in_chunk(counts, expert, nullptr);
    if (expert >= 0) p.rows[entry] = p.counts[(i64)blockIdx.x * EXPERTS + expert] + rank;
}

// permuted[rows[entry]] = x[token]; 16 bytes at a time, a block per token.
extern "C" __global__ void __launch_bounds__(kWidthThreads) permute(const __grid_constant__ Params p) {
    constexpr int kVector = 16 / sizeof(Element);
    __shared__ int rows[TOP_K];
    let_next_start();
    wait_for_previous();
    if (threadIdx.x < TOP_K) rows[threadIdx.x] = p.rows[(i64)blockIdx.x * TOP_K + threadIdx.x];
    __syncthreads();
    for (int c = threadIdx.x; c < p.width / kVector; c += kWidthThreads) {
        const uint4 v = ((const uint4*)(p.x + (i64)blockIdx.x * p.width))[c];
#pragma unroll
        for (int k = 0; k < TOP_K; k++) ((uint4*)(p.permuted + (i64)rows[k] * p.width))[c] = v;
    }
}

// y[token] (+)= the sum over its choices of weight times x[row]; a block per token.
extern "C" __global__ void __launch_bounds__(kWidthThreads) unpermute(const __grid_constant__ Params p) {
    constexpr int kVector = 16 / sizeof(Element);
    __shared__ int rows[TOP_K];
    __shared__ float weights[TOP_K];
    let_next_start();
    wait_for_previous();
    if (threadIdx.x < TOP_K) {
        rows[threadIdx.x] = p.rows[(i64)blockIdx.x * TOP_K + threadIdx.x];
        weights[threadIdx.x] = p.weights[(i64)blockIdx.x * TOP_K + threadIdx.x];
    }
    __syncthreads();
    for (int c = threadIdx.x * kVector; c < p.width; c += kWidthThreads * kVector) {
        Out* y = p.y + (i64)blockIdx.x * p.width + c;
        float sum[kVector] = {};
#if ACCUMULATE
        load_floats<kVector>(y, sum);
#endif
#pragma unroll
        for (int k = 0; k < TOP_K; k++) {
            float v[kVector];
            load_floats<kVector>(p.x + (i64)rows[k] * p.width + c, v);
#pragma unroll
            for (int i = 0; i < kVector; i++) sum[i] = fmaf(weights[k], v[i], sum[i]);
        }
        store_floats<kVector>(y, sum);
    }
}
