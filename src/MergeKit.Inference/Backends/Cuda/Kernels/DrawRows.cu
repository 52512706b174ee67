// Draws an id from each row of logits: softmax at a temperature, top-k, top-p, min-p, then by a uniform number in the order of ids. A block per row.
// Probabilities are whole multiples of 2^-40 of the largest one, so that their sums do not depend on any order. The k-th largest logit and the
// one at which the mass is reached are found by four histograms of eight bits of the logits' order.
#include "common.cuh"

struct Params {
    const float* logits;         // [rows, width]
    const float* bias;           // may be null
    const double* uniforms;      // [rows]
    int* ids;                    // [rows]: -1 where the largest logit is no finite number
    int width, top_k;            // top_k 0: all
    float scale, softcap;        // softcap 0: none
    float per_temperature, top_p, min_p;
};

constexpr int kThreads = 1024, kWarps = kThreads / 32;
constexpr float kUnit = 1099511627776.0f;                        // 2^40

struct Row {
    const Params& p;
    const float* x;
    float max;

    __device__ __forceinline__ float logit(int c) const {
        float v = (x[c] + (p.bias ? p.bias[c] : 0.0f)) * p.scale;
        return p.softcap > 0.0f ? tanhf(v / p.softcap) * p.softcap : v;
    }
    __device__ __forceinline__ float weight(float v) const { return expf((v - max) * p.per_temperature); }
};

__device__ __forceinline__ u64 mass(float weight) { return (u64)__float2ull_rn(weight * kUnit); }

// Larger logits have larger keys.
__device__ __forceinline__ u32 key_of(float x) {
    const u32 b = __float_as_uint(x + 0.0f);                     // no negative zero
    return b & 0x80000000u ? ~b : b | 0x80000000u;
}
__device__ __forceinline__ float logit_of(u32 key) { return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// The ids with larger keys than `least`, and the first `quota` of those that have it.
struct Kept { u32 least; int quota; };

struct Shared {
    u64 histogram[256];
    u64 sums[kWarps];
    int counts[kWarps];
    float maxima[kWarps];
    u32 key;
    u64 above;
    int id;
};

// Where, from the largest key down, `want` is reached: by ids or by mass. Gives what lies above the key. All threads call it.
template <bool MASS> __device__ u32 select(const Row& row, Shared& s, const Kept& kept, u64 want, u64& above) {
    u32 prefix = 0, known = 0;
    u64 before = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (int i = threadIdx.x; i < 256; i += kThreads) s.histogram[i] = 0;
        __syncthreads();
        for (int c = threadIdx.x; c < row.p.width; c += kThreads) {
            const float v = row.logit(c);
            const u32 key = key_of(v);
            if ((key & known) == prefix && key > kept.least) atomicAdd(&s.histogram[key >> shift & 255], MASS ? mass(row.weight(v)) : 1ull);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            // Those that have the least key count as often as they are kept.
            if (MASS && kept.quota && (kept.least & known) == prefix) s.histogram[kept.least >> shift & 255] += kept.quota * mass(row.weight(logit_of(kept.least)));
            int bin = 255;
            u64 sum = before;
            while (bin > 0 && sum + s.histogram[bin] < want) sum += s.histogram[bin--];
            s.key = prefix | (u32)bin << shift;
            s.above = sum;
        }
        __syncthreads();
        prefix = s.key;
        before = s.above;
        known |= 255u << shift;
        __syncthreads();
    }
    above = before;
    return prefix;
}

__device__ __forceinline__ u64 warp_add(u64 x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x += __shfl_xor_sync(~0u, x, d);
    return x;
}

// The sum of x over the block, the same in every thread.
__device__ u64 block_add(u64 x, Shared& s) {
    x = warp_add(x);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) s.sums[threadIdx.x >> 5] = x;
    __syncthreads();
    u64 sum = 0;
    for (int w = 0; w < kWarps; w++) sum += s.sums[w];
    return sum;
}

// The sums of the threads before this one.
template <typename T> __device__ T scan(T x, T* warps) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    T sum = x;
#pragma unroll
    for (int d = 1; d < 32; d <<= 1) {
        const T before = __shfl_up_sync(~0u, sum, d);
        if (lane >= d) sum += before;
    }
    __syncthreads();
    if (lane == 31) warps[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; w++) sum += warps[w];
    return sum - x;
}

extern "C" __global__ void __launch_bounds__(kThreads) draw_rows(const __grid_constant__ Params p) {
    __shared__ Shared s;
    Row row{p, p.logits + (i64)blockIdx.x * p.width, 0};
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    float max = neg_inf();
    for (int c = threadIdx.x; c < p.width; c += kThreads) {
        const float v = row.logit(c);
        max = v == v ? fmaxf(max, v) : -neg_inf();               // NaN counts as infinity
        if (!(v == v)) break;
    }
    max = warp_max(max);
    if (lane == 0) s.maxima[warp] = max;
    if (threadIdx.x == 0) s.id = -1;
    __syncthreads();
    for (int w = 0; w < kWarps; w++) max = fmaxf(max, s.maxima[w]);
    if (!(fabsf(max) < -neg_inf())) {
        if (threadIdx.x == 0) p.ids[blockIdx.x] = -1;
        return;
    }
    row.max = max;
    Kept kept{0, 0};                                             // all: the least key of a number is larger
    if (p.top_k > 0 && p.top_k < p.width) {
        u64 above;
        const u32 key = select<false>(row, s, kept, p.top_k, above);
        kept = Kept{key, p.top_k - (int)above};
    }
    if (p.top_p < 1.0f) {
        u64 own = 0;
        for (int c = threadIdx.x; c < p.width; c += kThreads) {
            const float v = row.logit(c);
            if (key_of(v) > kept.least) own += mass(row.weight(v));
        }
        const u64 ties = kept.quota ? kept.quota * mass(row.weight(logit_of(kept.least))) : 0;
        const u64 want = (u64)((double)p.top_p * (double)(block_add(own, s) + ties));
        u64 above;
        const u32 key = select<true>(row, s, kept, want, above);
        const u64 each = mass(row.weight(logit_of(key)));
        const u64 needed = each && want > above ? (want - above + each - 1) / each : 1;
        kept = Kept{key, (int)(key == kept.least ? min((u64)kept.quota, needed) : min((u64)p.width, needed))};
    }
    // Each thread has consecutive ids.
    const int share = (p.width + kThreads - 1) / kThreads, begin = min(p.width, (int)threadIdx.x * share), end = min(p.width, begin + share);
    int ties = 0;
    for (int c = begin; c < end; c++) ties += key_of(row.logit(c)) == kept.least;
    const int first_tie = scan(ties, s.counts);
    auto mass_at = [&](int c, int& tie) -> u64 {
        const float v = row.logit(c), w = row.weight(v);
        const u32 key = key_of(v);
        const bool in = key > kept.least || (key == kept.least && tie++ < kept.quota);
        return in && (w >= p.min_p || v == row.max) ? mass(w) : 0;
    };
    u64 own = 0;
    int tie = first_tie;
    for (int c = begin; c < end; c++) own += mass_at(c, tie);
    const u64 before = scan(own, s.sums);
    const u64 total = block_add(own, s);
    const u64 target = min((u64)(p.uniforms[blockIdx.x] * (double)total), total - 1);
    if (target >= before && target < before + own) {
        u64 sum = before;
        tie = first_tie;
        for (int c = begin; c < end; c++) {
            sum += mass_at(c, tie);
            if (sum > target) {
                s.id = c;
                break;
            }
        }
    }
    __syncthreads();
    if (threadIdx.x == 0) p.ids[blockIdx.x] = s.id;
}
