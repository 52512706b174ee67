// Exact order statistics of |task vector| for all tensors of a group at once: radix select over the 31 bits of the magnitude, 11 + 10 + 10, and
// where equal magnitudes straddle the cut, the index at which it falls. Nothing returns to the host.
// -D: SOURCES SRC TRIM (merge.cuh, TRIM 1); DIGIT (0, 1, 2); CUTS (1, 2: cuts per task vector)
#include "merge.cuh"

#define BINS (DIGIT == 0 ? 2048 : 1024)
#define MOST_BINS 2048
#define SHIFT (DIGIT == 0 ? 20 : DIGIT == 1 ? 10 : 0)
#define PREFIX_SHIFT (DIGIT == 0 ? 31 : DIGIT == 1 ? 20 : 10)
#define TILES_AT_ONCE 8          // per block, so that its histogram is added to the tensor's seldom
#define SLOTS (DIGIT == 0 ? 1 : CUTS)

__device__ __forceinline__ i64 slot(int owner, int i, int cut) { return ((i64)owner * SOURCES + i) * 2 + cut; }

// Adds the block's histogram to the tensor's and clears it.
__device__ void flush(const Params& p, u32* counts, int owner) {
    __syncthreads();
    for (int b = threadIdx.x; b < (SOURCES - 1) * SLOTS * BINS; b += THREADS) {
        const u32 c = counts[b];
        if (c == 0) continue;
        const int s = b / BINS;
        atomicAdd(p.histograms + slot(owner, 1 + s / SLOTS, s % SLOTS) * MOST_BINS + b % BINS, c);
        counts[b] = 0;
    }
    __syncthreads();
}

// What the histogram of one tile is made of.
struct Searched {
    Source s[SOURCES];
    u32 prefix[SOURCES][CUTS];
    bool wanted[SOURCES][CUTS];
};

__device__ __forceinline__ Searched searched(const Params& p, int owner) {
    Searched r;
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        r.s[i] = p.sources[owner * SOURCES + i];
#pragma unroll
        for (int c = 0; c < CUTS; c++) {
            const Cut& cut = p.cuts[slot(owner, i, c)];
            r.prefix[i][c] = cut.bits;
            r.wanted[i][c] = i > 0 && r.s[i].rule == RULE_TRIM && (cut.rank > 0 || (DIGIT == 0 && CUTS > 1 && p.cuts[slot(owner, i, 1 - c)].rank > 0));
        }
    }
    return r;
}

// Zeros need not be counted: what no bin above them holds is among them.
extern "C" __global__ void __launch_bounds__(THREADS) histogram(const __grid_constant__ Params p) {
    extern __shared__ u32 counts[];
    for (int b = threadIdx.x; b < (SOURCES - 1) * SLOTS * BINS; b += THREADS) counts[b] = 0;
    __syncthreads();
    const int end = min(((int)blockIdx.x + 1) * TILES_AT_ONCE, p.tiles);
    int owner = -1;
    for (int tile = blockIdx.x * TILES_AT_ONCE; tile < end; tile++) {
        if (p.owner[tile] != owner) {
            if (owner >= 0) flush(p, counts, owner);
            owner = p.owner[tile];
        }
        const Tensor t = p.tensors[owner];
        const Searched r = searched(p, owner);
        const i64 start = (i64)(tile - t.first_tile) * TILE;
#pragma unroll 1
        for (int local = threadIdx.x * STEP; local < TILE && start + local < t.count; local += THREADS * STEP) {
            float x[SOURCES][STEP];
            load_all([&](int i) -> const Source& { return r.s[i]; }, start + local, t.count, x);
#pragma unroll
            for (int i = 1; i < SOURCES; i++)
#pragma unroll
                for (int j = 0; j < STEP; j++) {
                    const u32 m = magnitude(delta_of(x[i][j], x[0][j]));
                    if (m == 0) continue;
#pragma unroll
                    for (int c = 0; c < SLOTS; c++)
                        if (r.wanted[i][c] && (DIGIT == 0 || m >> PREFIX_SHIFT == r.prefix[i][c]))
                            atomicAdd(counts + ((i - 1) * SLOTS + c) * BINS + (m >> SHIFT & (BINS - 1)), 1u);
                }
        }
    }
    if (owner >= 0) flush(p, counts, owner);
}

// Sums over the threads up to each one, itself included.
__device__ i64 scan(i64 own, i64* scratch) {
    scratch[threadIdx.x] = own;
    __syncthreads();
    for (int d = 1; d < THREADS; d <<= 1) {
        const i64 before = (int)threadIdx.x >= d ? scratch[threadIdx.x - d] : 0;
        __syncthreads();
        scratch[threadIdx.x] += before;
        __syncthreads();
    }
    const i64 sum = scratch[threadIdx.x];
    __syncthreads();
    return sum;
}

// How many ties are on the cut's first side: the lowest indices.
__device__ __forceinline__ i64 first_ties(const Cut& cut) {
    return cut.side == KEEP_LARGEST ? cut.rank - cut.above : cut.above + cut.ties - cut.rank + (cut.side == DROP_LARGEST ? 1 : 0);
}

// One block per cut: the bin that holds the rank, counted from the top; thread 0 has the highest bins.
extern "C" __global__ void __launch_bounds__(THREADS) pick(const __grid_constant__ Params p) {
    __shared__ i64 scratch[THREADS];
    const int index = blockIdx.x, c = index % CUTS, i = index / CUTS % SOURCES, owner = index / (CUTS * SOURCES);
    Cut* at = p.cuts + slot(owner, i, c);
    Cut cut = *at;
    if (i == 0 || cut.rank == 0 || p.sources[owner * SOURCES + i].rule != RULE_TRIM) return;
    const u32* counts = p.histograms + slot(owner, i, DIGIT == 0 ? 0 : c) * MOST_BINS;
    const int per = BINS / THREADS, top = BINS - 1 - (int)threadIdx.x * per;
    i64 own = 0;
    for (int b = top; b > top - per; b--) own += counts[b];
    const i64 before = cut.above + scan(own, scratch) - own;
    const bool last = threadIdx.x == THREADS - 1;
    if (before >= cut.rank || (before + own < cut.rank && !last)) return;
    i64 above = before;
    int bin = top;
    for (; bin > top - per + 1 && above + counts[bin] < cut.rank; bin--) above += counts[bin];
    cut.above = above;
    cut.bits = DIGIT == 0 ? (u32)bin : cut.bits << 10 | (u32)bin;
    cut.ties = counts[bin];
    if (DIGIT == 2) {
        const i64 first = first_ties(cut);
        cut.last = cut.bits == 0 || first >= cut.ties ? ALL_TIES : first <= 0 ? -1 : TIES_WANTED;
        cut.above = first;
    }
    *at = cut;
}

__device__ __forceinline__ bool is_tie(const Params& p, int owner, int i, u32 bits, i64 at) {
    return magnitude(delta_of(load_one(p.sources[owner * SOURCES + i], at), load_one(p.sources[owner * SOURCES], at))) == bits;
}

// Ties of each tile, where it matters which of them are on the first side.
extern "C" __global__ void __launch_bounds__(THREADS) count_ties(const __grid_constant__ Params p) {
    __shared__ u32 found[SOURCES * 2];
    const int tile = blockIdx.x, owner = p.owner[tile];
    const Tensor t = p.tensors[owner];
    u32 bits[SOURCES][CUTS];
    bool wanted[SOURCES][CUTS], any = false;
#pragma unroll
    for (int i = 1; i < SOURCES; i++)
#pragma unroll
        for (int c = 0; c < CUTS; c++) {
            const Cut& cut = p.cuts[slot(owner, i, c)];
            bits[i][c] = cut.bits;
            wanted[i][c] = cut.rank > 0 && cut.last == TIES_WANTED;
            any |= wanted[i][c];
        }
    if (!any) return;
    if (threadIdx.x < SOURCES * 2) found[threadIdx.x] = 0;
    __syncthreads();
    Source s[SOURCES];
#pragma unroll
    for (int i = 0; i < SOURCES; i++) s[i] = p.sources[owner * SOURCES + i];
    u32 own[SOURCES][CUTS] = {};
    const i64 start = (i64)(tile - t.first_tile) * TILE;
#pragma unroll 1
    for (int local = threadIdx.x * STEP; local < TILE && start + local < t.count; local += THREADS * STEP) {
        float x[SOURCES][STEP];
        load_all([&](int i) -> const Source& { return s[i]; }, start + local, t.count, x);
#pragma unroll
        for (int i = 1; i < SOURCES; i++)
#pragma unroll
            for (int j = 0; j < STEP; j++) {
                const u32 m = magnitude(delta_of(x[i][j], x[0][j]));
#pragma unroll
                for (int c = 0; c < CUTS; c++) own[i][c] += wanted[i][c] && m == bits[i][c];
            }
    }
#pragma unroll
    for (int i = 1; i < SOURCES; i++)
#pragma unroll
        for (int c = 0; c < CUTS; c++)
            if (own[i][c]) atomicAdd(found + i * 2 + c, own[i][c]);
    __syncthreads();
    if (threadIdx.x < SOURCES * 2) p.ties[(i64)tile * SOURCES * 2 + threadIdx.x] = found[threadIdx.x];
}

// One block per cut: the index of the last tie on the first side.
extern "C" __global__ void __launch_bounds__(THREADS) place(const __grid_constant__ Params p) {
    __shared__ i64 scratch[THREADS];
    __shared__ int in_tile;
    __shared__ i64 remaining;
    const int index = blockIdx.x, c = index % CUTS, i = index / CUTS % SOURCES, owner = index / (CUTS * SOURCES);
    Cut* at = p.cuts + slot(owner, i, c);
    const Cut cut = *at;
    if (i == 0 || cut.rank == 0 || cut.last != TIES_WANTED || p.sources[owner * SOURCES + i].rule != RULE_TRIM) return;
    const Tensor t = p.tensors[owner];
    const int tiles = (int)((t.count + TILE - 1) / TILE);
    if (threadIdx.x == 0) in_tile = -1;
    i64 passed = 0;
    for (int first = 0; first < tiles; first += THREADS) {
        const int tile = first + threadIdx.x;
        const i64 own = tile < tiles ? p.ties[((i64)(t.first_tile + tile) * SOURCES + i) * 2 + c] : 0;
        const i64 sum = passed + scan(own, scratch);
        if (sum - own < cut.above && cut.above <= sum) {
            in_tile = tile;
            remaining = cut.above - (sum - own);
        }
        scratch[threadIdx.x] = sum;
        __syncthreads();
        passed = scratch[THREADS - 1];
        __syncthreads();
        if (in_tile >= 0) break;
    }
    const i64 start = (i64)in_tile * TILE + (i64)threadIdx.x * (TILE / THREADS);
    i64 own = 0;
    for (int k = 0; k < TILE / THREADS && start + k < t.count; k++) own += is_tie(p, owner, i, cut.bits, start + k);
    const i64 sum = scan(own, scratch);
    if (sum - own >= remaining || remaining > sum) return;
    i64 left = remaining - (sum - own);
    for (int k = 0; k < TILE / THREADS && start + k < t.count; k++)
        if (is_tie(p, owner, i, cut.bits, start + k) && --left == 0) at->last = start + k;
}
