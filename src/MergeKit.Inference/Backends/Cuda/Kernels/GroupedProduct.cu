// C = A B^T on Hopper, for one matrix B or for one per expert: bf16 operands, float32 sums.
//   A [rows, K], grouped: the rows of the experts one after the other, `ends` says where each ends; B [experts, N, K].
//
// A block is one producer warpgroup (one thread of it issues TMA into a ring of stages) and two consumer warpgroups. A
// cluster of CLUSTER blocks takes tiles that are neighbours in M and shares the tile of B: each loads a part and
// multicasts it. Persistent: every block walks the same static order, expert by expert, inside an expert in bands of GROUP
// cluster tiles of M. The second warpgroup keeps some blocks of K behind the first, so that one multiplies while the
// other stores. A warpgroup with no rows of the expert skips the products and only passes the slots on.
//
// -D: BM (64, 128) BN (128, 256) STAGES CLUSTER (1, 2) GROUP LAG (blocks of K) BIAS ACTIVATION CLAMPED
//     EPILOGUE (0: bf16; 1: rows 2i, 2i + 1 of B are gate and up, C[rows, N / 2] = act(gate) up; 2: log-probabilities)
//     PARTS (pairs of A and B whose products are added up: K is cut into them; more than 1 only with EPILOGUE 2)
#define FAST_ACTIVATION 1
#include "cluster.cuh"
#include "activation.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

constexpr int BK = 64;                               // 128 bytes: one row of the swizzle
constexpr int kSplitN = BM == 64;                    // the warpgroups share the tile by columns instead of rows
#if BM == 64 && BN == 256
#define WN 128
#elif BM == 64
#define WN 64
#else
#define WN BN
#endif
#define WGMMA CAT(wgmma_ss_n, WN)
constexpr int kABytes = BM * BK * 2, kBBytes = BN * BK * 2, kStageBytes = kABytes + kBBytes;
constexpr int kPanelBytes = 16 * 128;                // one warp's 16 rows by 64 columns of C
constexpr int kPerColumn = EPILOGUE == 1 ? 2 : 1;    // columns of the product for a column of C
constexpr int kPanels = WN / kPerColumn / 64;
static_assert(EPILOGUE == 2 || kPanels >= 1, "the tile is too narrow for a panel of 64 columns of C");

struct Partial { float max, sum; int arg_max, unused; };          // of a row over the columns of a tile of a warpgroup

struct Params {
    TensorMap a, b, c;
    bf16* out;                                       // rows `pitch` elements apart
    const int* ends;                                 // null: one matrix and `rows` rows
    const float* bias;                               // [N] (of each expert)
    Partial* partials;                               // [rows][parts]
    float* targets_logit;                            // [rows]
    const int* targets;                              // [rows]: column whose logit is wanted
    i64 pitch;
    int rows, n, k, experts;
    int parts;
    float limit, scale, softcap;                     // softcap 0: none
#if PARTS > 1
    struct { TensorMap a, b; } more[PARTS - 1];      // of the parts behind the first; k covers the whole blocks of all of them
    int part_blocks[PARTS];
#endif
};

__device__ __forceinline__ u32 cluster_rank() {
    u32 r = 0;
#if CLUSTER > 1
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
#endif
    return r;
}
// Lane i < CLUSTER arrives at the barrier of block i. Not ".release.cluster": that puts a memory fence into the main
// loop, and all it would order (the reads of the products) is complete at their wait.
__device__ __forceinline__ void release_slot(u32 barrier, u32 lane) {
#if CLUSTER > 1
    asm volatile(
        "{\n.reg .pred p;\n.reg .b32 r;\nsetp.lt.u32 p, %1, %2;\n@p mapa.shared::cluster.u32 r, %0, %1;\n"
        "@p mbarrier.arrive.shared::cluster.b64 _, [r];\n}\n" ::"r"(barrier), "r"(lane), "n"(CLUSTER) : "memory");
#else
    barrier_arrive_if(barrier, lane == 0);
#endif
}
__device__ __forceinline__ void load_a(u32 target, const TensorMap* map, u32 barrier, int k, int row) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 ::"r"(target), "l"((u64)map), "r"(barrier), "r"(k), "r"(row) : "memory");
}
#if CLUSTER > 1
#define MULTICAST ".multicast::cluster"
#define MULTICAST_MASK ", %6"
#else
#define MULTICAST
#define MULTICAST_MASK
#endif
__device__ __forceinline__ void load_b(u32 target, const TensorMap* map, u32 barrier, int k, int row, int expert) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes" MULTICAST
        " [%0], [%1, {%3, %4, %5}], [%2]" MULTICAST_MASK ";"
        ::"r"(target), "l"((u64)map), "r"(barrier), "r"(k), "r"(row), "r"(expert), "h"((u16)((1 << CLUSTER) - 1)) : "memory");
}
__device__ __forceinline__ void store_c(const TensorMap* map, u32 source, int column, int row) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];"
                 ::"l"((u64)map), "r"(source), "r"(column), "r"(row) : "memory");
}
__device__ __forceinline__ void store_matrix4(u32 address, u32 a, u32 b, u32 c, u32 d) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
__device__ __forceinline__ uint4 load_shared(u32 address) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address) : "memory");
    return v;
}

// ---- the order of tiles

struct Tile { int expert, row, row_end, column; };   // row: this block's first row of A and C; column: first row of B

struct Scheduler {
    const Params& p;
    const int* first;                                // shared memory: cluster tiles of M before each expert
    int n_tiles, index, stride, rank, expert;

    __device__ __forceinline__ bool next(Tile& t) {
        while (expert < p.experts && index >= first[expert + 1] * n_tiles) expert++;
        if (expert >= p.experts) return false;
        const int m_tiles = first[expert + 1] - first[expert], local = index - first[expert] * n_tiles;
        const int band = local / (GROUP * n_tiles), width = min(GROUP, m_tiles - band * GROUP), rest = local - band * GROUP * n_tiles;
        const int n = rest / width, m = band * GROUP + rest - n * width, start = p.ends && expert ? p.ends[expert - 1] : 0;
        t = Tile{expert, start + (m * CLUSTER + rank) * BM, p.ends ? p.ends[expert] : p.rows, n * BN};
        index += stride;
        return true;
    }
};

struct Smem { u32 stages, out, full, empty; };

// ---- producer: one thread

__device__ __forceinline__ void producer(const Params& p, const Smem& s, Scheduler tiles) {
    Ring ring{0, 1};
    Tile t;
    constexpr int kPart = BN / CLUSTER;
    while (tiles.next(t)) {
        const int b_row = t.column + tiles.rank * kPart;
        const bool some = t.row < t.row_end;         // the last block of a cluster may have no rows of its own
#pragma unroll 1
        for (int part = 0; part < PARTS; part++) {
#if PARTS > 1
            const TensorMap *map_a = part ? &p.more[part - 1].a : &p.a, *map_b = part ? &p.more[part - 1].b : &p.b;
            const int blocks = p.part_blocks[part];
#else
            const TensorMap *map_a = &p.a, *map_b = &p.b;
            const int blocks = (p.k + BK - 1) / BK;
#endif
#pragma unroll 1
            for (int kb = 0; kb < blocks; kb++) {
                const u32 full = s.full + 8 * ring.slot, a = s.stages + ring.slot * kStageBytes;
                barrier_wait(s.empty + 8 * ring.slot, ring.phase);
                barrier_expect(full, some ? kStageBytes : kBBytes);
                if (some) load_a(a, map_a, full, kb * BK, t.row);
                load_b(a + kABytes + tiles.rank * kPart * 128, map_b, full, kb * BK, b_row, t.expert);
                ring.next(STAGES);
            }
        }
    }
}

// ---- epilogues. Sum 4j + e (e < 2) is row lane / 4, column 8j + 2 (lane % 4) + e; 4j + 2 + e is 8 rows below.

// Two sums of a row: block j of 8 columns.
__device__ __forceinline__ float2 sums_of(const Params& p, const float (&d)[WN / 2], int j, int r, int lane, int expert, int column) {
    float2 x = make_float2(d[4 * j + 2 * r], d[4 * j + 2 * r + 1]);
#if BIAS
    const int c = column + 8 * j + 2 * (lane & 3);
    if (c < p.n) {                                   // N is even
        const float2 b = *(const float2*)(p.bias + (i64)expert * p.n + c);
        x.x += b.x;
        x.y += b.y;
    }
#endif
    return x;
}

#if EPILOGUE != 2
// The packed pair of bf16 of block j of 8 columns of C.
__device__ __forceinline__ u32 out_pair(const Params& p, const float (&d)[WN / 2], int j, int r, int lane, int expert, int column) {
#if EPILOGUE == 1
    // Blocks 2j, 2j + 1 of the product give one block of C; lane q of a quad has its columns q and 4 + q, needs 2q and 2q + 1.
    const float2 lo = sums_of(p, d, 2 * j, r, lane, expert, column), hi = sums_of(p, d, 2 * j + 1, r, lane, expert, column);
    const u32 w = pack_bf16(gate_up(lo.x, lo.y, p.limit), gate_up(hi.x, hi.y, p.limit));
    const int source = (lane & ~3) | ((2 * lane) & 3);
    const u32 x = __shfl_sync(~0u, w, source), y = __shfl_sync(~0u, w, source + 1);
    return __byte_perm(x, y, (lane & 2) ? 0x7632 : 0x5410);
#else
    const float2 x = sums_of(p, d, j, r, lane, expert, column);
    return pack_bf16(x.x, x.y);
#endif
}

// One warp writes its 16 rows, a panel of 64 columns at a time, through two shared buffers.
__device__ __forceinline__ void finish(const Params& p, const float (&d)[WN / 2], u32 buffers, const Tile& t, int row, int column, int lane) {
    const int rows = t.row_end - row, in_row = (lane & 7) + (lane & 8), width = p.n / kPerColumn;
    if (rows <= 0) return;
#pragma unroll
    for (int q = 0; q < kPanels; q++) {
        const u32 buffer = buffers + (q & 1) * kPanelBytes;
        if (lane == 0) asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
        __syncwarp();
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const u32 address = buffer + in_row * 128 + (((2 * i + (lane >> 4)) ^ (lane & 7)) << 4);
            const int j = 8 * q + 2 * i;
            store_matrix4(address, out_pair(p, d, j, 0, lane, t.expert, column), out_pair(p, d, j, 1, lane, t.expert, column),
                          out_pair(p, d, j + 1, 0, lane, t.expert, column), out_pair(p, d, j + 1, 1, lane, t.expert, column));
        }
        const int c = column / kPerColumn + 64 * q;
        if (rows >= 16 || !p.ends) {                 // the tensor map clips at the end of C, not of an expert
            asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (lane == 0) {
                if (c < width) store_c(&p.c, buffer, c, row);
                asm volatile("cp.async.bulk.commit_group;" ::: "memory");
            }
        } else {
            __syncwarp();
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int r = (lane >> 3) + 4 * i, x = lane & 7;
                const uint4 v = load_shared(buffer + r * 128 + ((x ^ (r & 7)) << 4));
                if (r < rows && c + 8 * x < width) *(uint4*)(p.out + (row + r) * p.pitch + c + 8 * x) = v;
            }
            __syncwarp();
        }
    }
}
#else
// The maximum, its first column and the sum of exponentials of each row over the columns of the tile; the target's logit.
__device__ __forceinline__ void finish(const Params& p, float (&d)[WN / 2], u32, const Tile& t, int row, int column, int lane) {
    if (row >= t.row_end) return;
    const int first = column + 2 * (lane & 3);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int at = row + (lane >> 2) + 8 * r, target = at < t.row_end ? p.targets[at] - first : -1;
        float max = neg_inf();
        int place = 0x7fffffff;
#pragma unroll
        for (int j = 0; j < WN / 8; j++) {
            const float2 x = sums_of(p, d, j, r, lane, t.expert, column);
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float v = (e ? x.y : x.x) * p.scale;
                if (p.softcap > 0.0f) v = tanh_exp(v / p.softcap) * p.softcap;
                if (8 * j + e == target) p.targets_logit[at] = v;
                if (first + 8 * j + e >= p.n) v = neg_inf();
                d[4 * j + 2 * r + e] = v;
                if (v > max) {
                    max = v;
                    place = 8 * j + e;
                }
            }
        }
        place += place == 0x7fffffff ? 0 : first;
        const float own = max;
#pragma unroll
        for (int bit = 1; bit <= 2; bit <<= 1) max = fmaxf(max, __shfl_xor_sync(~0u, max, bit));
        if (own != max) place = 0x7fffffff;
        const float shift = max == neg_inf() ? 0.0f : max * 1.4426950408889634f;
        float sum0 = 0, sum1 = 0;
#pragma unroll
        for (int j = 0; j < WN / 8; j++) {
            sum0 += exp2_approx(fmaf(d[4 * j + 2 * r], 1.4426950408889634f, -shift));
            sum1 += exp2_approx(fmaf(d[4 * j + 2 * r + 1], 1.4426950408889634f, -shift));
        }
        float sum = sum0 + sum1;
#pragma unroll
        for (int bit = 1; bit <= 2; bit <<= 1) {
            sum += __shfl_xor_sync(~0u, sum, bit);
            place = min(place, __shfl_xor_sync(~0u, place, bit));
        }
        if ((lane & 3) == 0 && at < t.row_end && column < p.n) p.partials[(i64)at * p.parts + column / WN] = Partial{max, sum, place, 0};
    }
}
#endif

// ---- consumers

__device__ __forceinline__ void products(float (&d)[WN / 2], u64 a, u64 b, int accumulate) {
    wgmma_fence();
#pragma unroll
    for (int kk = 0; kk < BK / 16; kk++) WGMMA(d, a + 2 * kk, b + 2 * kk, kk ? 1 : accumulate);
    wgmma_commit();
}

__device__ __forceinline__ void consumer(const Params& p, const Smem& s, Scheduler tiles, int wg) {
    Ring ring{0, 0};
    Tile t;
    const int lane = threadIdx.x & 31, warp = (threadIdx.x >> 5) & 3, blocks = (p.k + BK - 1) / BK, lag = min(LAG, blocks);
    const int wg_row = kSplitN ? 0 : 64 * wg, wg_column = kSplitN ? WN * wg : 0;
    const u64 a0 = matrix_descriptor(s.stages + wg_row * 128, 0), b0 = matrix_descriptor(s.stages + kABytes + wg_column * 128, 0);
    const u32 buffers = s.out + (4 * wg + warp) * 2 * kPanelBytes;
    float d[WN / 2];
    bool started = LAG == 0;                         // the lag of the second warpgroup is set once
    while (tiles.next(t)) {
        if (!started && wg == 1) named_sync(1, 256);
        if (t.row + wg_row >= t.row_end) {
            if (!started && wg == 0) named_arrive(1, 256);
            started = true;
#pragma unroll 1
            for (int kb = 0; kb < blocks; kb++) {
                barrier_wait(s.full + 8 * ring.slot, ring.phase);
                release_slot(s.empty + 8 * ring.slot, lane);
                ring.next(STAGES);
            }
            continue;
        }
        // The first block stands outside the loop: the sums then enter the loop defined by a product, and the
        // assembler keeps the products asynchronous.
        u32 held = ring.slot;
        barrier_wait(s.full + 8 * ring.slot, ring.phase);
        products(d, a0 + ring.slot * (kStageBytes / 16), b0 + ring.slot * (kStageBytes / 16), 0);
        ring.next(STAGES);
        int kb = 1;
#pragma unroll 1
        for (int stop = started || wg == 1 ? blocks : lag; kb < stop; kb++) {
            barrier_wait(s.full + 8 * ring.slot, ring.phase);
            products(d, a0 + ring.slot * (kStageBytes / 16), b0 + ring.slot * (kStageBytes / 16), 1);
            wgmma_wait<1>();                         // the block before this one is done with its slot
            release_slot(s.empty + 8 * held, lane);
            held = ring.slot;
            ring.next(STAGES);
            if (kb + 1 == lag && !started && wg == 0) {
                named_arrive(1, 256);
                stop = blocks;
                started = true;
            }
        }
        wgmma_wait<0>();
        pin(d);
        release_slot(s.empty + 8 * held, lane);
        if (!started && wg == 0) named_arrive(1, 256);           // K is a single block
        started = true;
        finish(p, d, buffers, t, t.row + wg_row + 16 * warp, t.column + wg_column, lane);
    }
    if (EPILOGUE != 2 && lane == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// ---- kernel

extern "C" __global__ void
#if CLUSTER > 1
__cluster_dims__(CLUSTER, 1, 1)
#endif
__launch_bounds__(384, 1) grouped_product(const __grid_constant__ Params p) {
    extern __shared__ u8 raw[];
    Smem s;
    s.stages = (smem_u32(raw) + 1023) & ~1023u;      // the swizzle needs 1024 B alignment
    s.out = s.stages + STAGES * kStageBytes;
    s.full = s.out + (EPILOGUE == 2 ? 0 : 8 * 2 * kPanelBytes);
    s.empty = s.full + 8 * STAGES;
    int* first = (int*)(raw + (s.empty + 8 * STAGES - smem_u32(raw)));
    if (threadIdx.x < 32) {                          // cluster tiles of M before each expert: a scan of one warp
        int sum = 0;
        for (int e0 = 0; e0 < p.experts; e0 += 32) {
            const int e = e0 + threadIdx.x;
            int count = 0;
            if (e < p.experts) count = ((p.ends ? p.ends[e] - (e ? p.ends[e - 1] : 0) : p.rows) + BM * CLUSTER - 1) / (BM * CLUSTER);
#pragma unroll
            for (int i = 1; i < 32; i <<= 1) {
                const int x = __shfl_up_sync(~0u, count, i);
                if (threadIdx.x >= i) count += x;
            }
            if (e < p.experts) first[e + 1] = sum + count;
            sum += __shfl_sync(~0u, count, 31);
        }
        if (threadIdx.x == 0) first[0] = 0;
    }
    if (threadIdx.x == 32) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(s.full + 8 * i, 1);
            barrier_init(s.empty + 8 * i, 8 * CLUSTER);          // each consumer warp of the cluster releases for itself
        }
        publish_barriers();
    }
    __syncthreads();
    cluster_sync();
    Scheduler tiles{p, first, (p.n + BN - 1) / BN, (int)blockIdx.x / CLUSTER, (int)gridDim.x / CLUSTER, (int)cluster_rank(), 0};
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (group == 0) {
        fewer_registers<24>();
        if (threadIdx.x == 0) producer(p, s, tiles);
        __syncwarp();
    } else {
        more_registers<240>();
        consumer(p, s, tiles, group - 1);
        __syncwarp();
    }
    cluster_sync();                                  // no block may leave while its peer still signals it
}
