// Products of a few rows: y[M, N] = x[M, K] W[N, K]^T with M <= 8 NT; bf16 operands, float32 sums. What counts is the
// one pass over W.
//
// A block takes 16 rows of W at a time and its warps share K. W goes from memory straight to registers: a lane takes 16
// consecutive bytes of two rows, which is a valid operand of mma.m16n8k16 because the order of K is free as long as x
// uses the same one. Each register quadruple is asked for again as soon as it was consumed, across tiles too. Each warp
// stages the part of x that it alone reads, a step ahead of its use. Where x does not fit one block, some blocks share K;
// the last of them to end adds what all of them left in memory. All sums have a fixed order.
//
// GROUPED: x holds the rows of the experts one after the other, W is [experts, N, K]; `ends` says where each ends.
// -D: NT (1, 2) WARPS U (steps of 32 in flight per warp) GROUPED OUT_BF16
//     GATE (0 none, 1 gate rows then up rows, 2 alternating) ACTIVATION CLAMPED
#include "activation.cuh"
#include "mma.cuh"

#if OUT_BF16
typedef bf16 Out;
#else
typedef float Out;
#endif

struct Params {
    const bf16* x;
    const bf16* w;
    Out* y;                      // [M, N], or [M, N / 2] behind a gate
    const Out* residual;         // added to the product, laid out like y and perhaps y itself; may be null
    const float* bias;           // [N] (of each expert); may be null
    const int* ends;             // grouped: the row behind the last of each expert
    float* partials;             // [splits][tiles][8 NT][16]
    u32* counters;               // one for the blocks that share K, zero; left so
    i64 pitch_w;                 // elements from a row to the next
    int pitch_x, pitch_y;
    int rows, n, k, experts;
    int splits, slice;           // blocks that share K, and the columns of W that each takes: a multiple of 8
    int stride;                  // bytes of a row of x in shared memory: 64 modulo 128
    float limit;
};

constexpr int kThreads = WARPS * 32, kRows = 8 * NT, kRed = kRows * 17, kRound = WARPS * U * 32;
constexpr int kTileOut = GATE ? 8 : 16;              // columns of y in a tile
#if GROUPED
constexpr int kMaxExperts = 512;
#endif
static_assert(16 * kRows <= kThreads, "one thread for each output of a tile");

__device__ __forceinline__ uint4 load_stream(const bf16* p, bool valid) {
    uint4 r;
    asm volatile(
        "{\n.reg .pred q;\nsetp.ne.u32 q, %5, 0;\nmov.u32 %0, 0;\nmov.u32 %1, 0;\nmov.u32 %2, 0;\nmov.u32 %3, 0;\n"
        "@q ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n}"
        : "=&r"(r.x), "=&r"(r.y), "=&r"(r.z), "=&r"(r.w) : "l"(p), "r"((u32)valid));
    return r;
}

// The row of W that stands in row r (0 to 15) of a tile, and whether it exists.
__device__ __forceinline__ int weight_row(const Params& p, int tile, int r, bool& exists) {
    const int row = GATE == 1 ? tile * 8 + (r & 7) : tile * 16 + r, end = GATE == 1 ? p.n / 2 : p.n;
    exists = row < end;
    return min(row, end - 1) + (GATE == 1 && r >= 8 ? end : 0);
}

// Ends the sum v of row r of a tile for row m of x. All lanes of a warp call it.
__device__ __forceinline__ void finish(const Params& p, float v, int tile, int r, int m, bool mine, int expert, int first) {
    bool exists;
    const int row = weight_row(p, tile, r, exists);
    mine = mine && exists;
    if (p.bias && mine) v += p.bias[(i64)expert * p.n + row];
#if GATE
    const float up = __shfl_xor_sync(~0u, v, GATE == 1 ? 8 : 1);
    v = gate_up(v, up, p.limit);
    mine = mine && (GATE == 1 ? r < 8 : !(r & 1));
    const int column = tile * 8 + (GATE == 1 ? r : r >> 1);
#else
    const int column = row;
#endif
    if (!mine) return;
    const i64 at = (i64)(first + m) * p.pitch_y + column;
    if (p.residual) v += to_float(p.residual[at]);
    from_float(v, p.y[at]);
}

#if !GROUPED
// Adds what the blocks that share K left of the tiles begin, begin + step, ...; one of the blocks calls it.
__device__ __forceinline__ void merge(const Params& p, int tiles, int begin, int step) {
    constexpr int kOut = 16 * kRows, kBatch = 2, kMost = 8;      // all parts of an output are asked for at once
    const int all = (tiles - begin + step - 1) / step * kOut;
    for (int i0 = 0; i0 < all; i0 += kThreads * kBatch) {
        float x[kBatch][kMost];
#pragma unroll
        for (int b = 0; b < kBatch; b++)
#pragma unroll
            for (int s = 0; s < kMost; s++) {
                const int i = i0 + b * kThreads + threadIdx.x;
                x[b][s] = i < all && s < p.splits ? __ldcg(p.partials + (i64)(s * tiles + begin + i / kOut * step) * kOut + i % kOut) : 0.0f;
            }
#pragma unroll
        for (int b = 0; b < kBatch; b++) {
            const int i = i0 + b * kThreads + threadIdx.x, m = i / 16 % kRows;
            float v = 0;
#pragma unroll
            for (int s = 0; s < kMost; s++) v += x[b][s];
            finish(p, v, begin + i / kOut * step, i % 16, m, i < all && m < p.rows, 0, 0);
        }
    }
}
#endif

struct Place { int expert, tile, first, rows; };     // first: row of x and y

extern "C" __global__ void __launch_bounds__(kThreads, 1) skinny_product(const __grid_constant__ Params p) {
    extern __shared__ __align__(128) u8 smem[];
    float* red = (float*)smem;                                   // [2][WARPS][kRed]
    u8* xs = smem + ((2 * WARPS * kRed * 4 + 127) & ~127);
    const int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, g = lane >> 2, t = lane & 3;
    const int tiles = (p.n / (GATE ? 2 : 1) + kTileOut - 1) / kTileOut;
#if GROUPED
    const int k0 = 0, kn = p.k;
#else
    const int rank = blockIdx.x % p.splits, step = gridDim.x / p.splits, begin = blockIdx.x / p.splits, end = tiles;
    const int k0 = rank * p.slice, kn = max(0, min(p.k, k0 + p.slice) - k0);
#endif
    const int iters = (kn + kRound - 1) / kRound, kl = warp * (U * 32) + t * 8;   // this lane's first column of a round
    let_next_start();
#if GROUPED
    __shared__ int active[kMaxExperts];                          // experts that have rows
    __shared__ int count;
    wait_for_previous();
    if (warp == 0) {
        int n = 0;
        for (int e0 = 0; e0 < p.experts; e0 += 32) {
            const int e = e0 + lane;
            const bool some = e < p.experts && p.ends[e] > (e ? p.ends[e - 1] : 0);
            const u32 votes = __ballot_sync(~0u, some);
            if (some) active[n + __popc(votes & ((1u << lane) - 1))] = e;
            n += __popc(votes);
        }
        if (lane == 0) count = n;
    }
    __syncthreads();
    const i64 all = (i64)count * tiles;
    const int step = 1, begin = (int)(all * blockIdx.x / gridDim.x), end = (int)(all * (blockIdx.x + 1) / gridDim.x);
    auto locate = [&](int i) {
        const int slot = i / tiles, e = active[slot], first = e ? p.ends[e - 1] : 0;
        return Place{e, i - slot * tiles, first, p.ends[e] - first};
    };
#else
    auto locate = [&](int i) { return Place{0, i, 0, p.rows}; };
#endif
    // Pointers to this lane's two rows of a tile, at its first column.
    auto rows_of = [&](const Place& at, const bf16*& a, const bf16*& b) {
        bool exists;
        const bf16* w = p.w + (i64)at.expert * p.n * p.pitch_w + k0 + kl;
        a = w + (i64)weight_row(p, at.tile, g, exists) * p.pitch_w;
        b = w + (i64)weight_row(p, at.tile, g + 8, exists) * p.pitch_w;
    };
    auto stage = [&](const Place& at, int it) {                  // x of this warp's columns of a round
        const int start = blockIdx.x % max(at.rows, 1);          // not all blocks at once at the same row
        for (int i = lane; i < at.rows * (U * 4); i += 32) {
            const int row = i / (U * 4) + start, m = row < at.rows ? row : row - at.rows, k = it * kRound + warp * (U * 32) + i % (U * 4) * 8;
            if (k < kn) copy_async16(smem_u32(xs + m * p.stride + k * 2), p.x + (i64)(at.first + m) * p.pitch_x + k0 + k, true);
        }
        commit_async();
    };

    uint4 wa[U], wb[U];
    const bf16 *pa, *pb;
    int index = begin;
    Place place = index < end ? locate(index) : Place{0, 0, 0, 0};
    rows_of(place, pa, pb);
#pragma unroll
    for (int u = 0; u < U; u++) {
        const bool valid = index < end && kl + u * 32 < kn;
        wa[u] = load_stream(pa + u * 32, valid);
        wb[u] = load_stream(pb + u * 32, valid);
    }
#if !GROUPED
    wait_for_previous();                                         // x comes from the kernel before this one
#endif
    bool fresh = true;                                           // x of this tile is not staged yet
    stage(place, 0);
    for (int parity = 0; index < end; index += step, parity ^= 1) {
        const bool more = index + step < end;
        const Place next = more ? locate(index + step) : place;
        float acc[NT][4] = {};
        for (int it = 0; it < iters; it++) {
            if (fresh) {
                stage(place, it + 1);
                wait_async<1>();
                __syncwarp();
            }
            const bool wrap = it + 1 == iters;
            if (wrap) rows_of(next, pa, pb);
            const int nk = wrap ? 0 : (it + 1) * kRound;
            const int k = kl + it * kRound;
            const u8* px = xs + g * p.stride + k * 2;
#pragma unroll
            for (int u = 0; u < U; u++) {
#pragma unroll
                for (int n = 0; n < NT; n++) {
                    uint4 b = make_uint4(0, 0, 0, 0);
                    if (n * 8 + g < place.rows && k + u * 32 < kn) b = *(const uint4*)(px + n * 8 * p.stride + u * 64);
                    const u32 a0[4] = {wa[u].x, wb[u].x, wa[u].y, wb[u].y}, a1[4] = {wa[u].z, wb[u].z, wa[u].w, wb[u].w};
                    mma_bf16(acc[n], a0, b.x, b.y);
                    mma_bf16(acc[n], a1, b.z, b.w);
                }
                const bool valid = (!wrap || more) && kl + nk + u * 32 < kn;
                wa[u] = load_stream(pa + nk + u * 32, valid);
                wb[u] = load_stream(pb + nk + u * 32, valid);
            }
        }
        float* mine = red + (parity * WARPS + warp) * kRed;
#pragma unroll
        for (int n = 0; n < NT; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int m = n * 8 + t * 2 + (e & 1);
                if (m < place.rows) mine[m * 17 + g + (e >> 1) * 8] = acc[n][e];
            }
        fresh = GROUPED && next.expert != place.expert;
        if (fresh) {
            __syncwarp();
            stage(next, 0);
        }
        __syncthreads();
        const int r = tid & 15, m = tid >> 4;
        float v = 0;
        if (m < place.rows)
#pragma unroll
            for (int w = 0; w < WARPS; w++) v += red[(parity * WARPS + w) * kRed + m * 17 + r];
#if !GROUPED
        if (p.splits > 1) {
            if (m < kRows) p.partials[((i64)rank * tiles + place.tile) * (16 * kRows) + m * 16 + r] = v;
        } else
#endif
            finish(p, v, place.tile, r, m, m < place.rows, place.expert, place.first);
        place = next;
    }
#if !GROUPED
    if (p.splits == 1) return;
    __shared__ u32 last;
    __threadfence();
    __syncthreads();
    if (tid == 0) {
        last = atomicAdd(p.counters + begin, 1u) + 1 == (u32)p.splits;
        if (last) p.counters[begin] = 0;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    merge(p, tiles, begin, step);
#endif
}
