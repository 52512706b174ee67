// Attention of prompts on Hopper: O = softmax(scale * Q K^T + mask) V over ragged batches; bf16 in and out, float32 sums.
//
// A block is one producer warpgroup (one thread of it finds tiles, one issues TMA) and BM / 64 consumer warpgroups. Blocks
// are persistent and take tiles from a list, longest first, by an atomic counter. Inside a consumer warpgroup
// S(n) = Q K(n)^T is issued together with O += P(n-1) V(n-1), and the softmax of S(n) runs while the second product is
// in flight; between two warpgroups named barriers order the issue, so that one's softmax overlaps the other's
// products (arXiv 2407.08608). The maximum of a row moves only when it grew by more than 2^8, which changes nothing
// after normalisation but rounding.
// The first product of a tile is issued behind the last of the tile before, whose normalisation and store it hides; Q is
// held DEPTH times for that; short sequences, which memory bounds, have more of it under way.
// Tiles may hold rows of the next sequence: as keys they are masked, as queries not stored; values must be finite.
//
// -D: HEAD_DIM (64, 128) BM (64, 128, 192) BN STAGES (of K, of V) DEPTH (tiles known ahead and their Q) BLOCKS (of a multiprocessor) CAUSAL WINDOW SOFTCAP SINKS
#include "attention.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

#define WGMMA_QK CAT(wgmma_ss_n, BN)
#define WGMMA_PV CAT(wgmma_rs_tb_n, HEAD_DIM)

constexpr int kConsumers = BM / 64;
constexpr int kThreads = 128 * (kConsumers + 1);
constexpr int kQBytes = BM * HEAD_DIM * 2;       // a tile is stored as HEAD_DIM/64 panels of 64 columns (128 B)
constexpr int kKVBytes = BN * HEAD_DIM * 2;
constexpr int kProducerRegs = kConsumers == 3 ? 32 : 24;
constexpr int kConsumerRegs = BLOCKS == 1 ? (kConsumers == 2 ? 240 : 160) : kConsumers == 2 ? 104 : BLOCKS == 2 ? 216 : BLOCKS == 3 ? 136 : 96;

struct Params {
    TensorMap q, k, v;
    bf16* o;                                     // [tokens, heads, HEAD_DIM]
    float* lse;                                  // [tokens, heads], may be null
    u32* counter;                                // 2 words, zero before the launch; left zero
    const Sequence* sequences;
    const int4* tiles;                           // sequence, first query, head
    const float* sinks;                          // [heads]
    int tile_count, heads, group;                // group: query heads per kv head
    int window;                                  // a query sees so many keys up to its own position
    float scale_log2;                            // scale times log2(e); with a soft cap 1, the rest below
    float capped_scale, cap_log2;                // scale / softcap, softcap times log2(e)
};

// ---- pieces of the main loop

__device__ __forceinline__ void issue_qk(float (&s)[BN / 2], u64 dq, u64 dk) {
#pragma unroll
    for (int kk = 0; kk < HEAD_DIM / 16; kk++)
        WGMMA_QK(s, dq + (kk / 4) * (BM * 128 / 16) + (kk % 4) * 2, dk + (kk / 4) * (BN * 128 / 16) + (kk % 4) * 2, kk != 0);
    wgmma_commit();
}
__device__ __forceinline__ void issue_pv(float (&o)[HEAD_DIM / 2], u32 (&p)[BN / 4], u64 dv, bool accumulate) {
#pragma unroll
    for (int kk = 0; kk < BN / 16; kk++)
        WGMMA_PV(o, p[4 * kk], p[4 * kk + 1], p[4 * kk + 2], p[4 * kk + 3], dv + kk * (16 * 128 / 16), kk == 0 ? (int)accumulate : 1);
    wgmma_commit();
}

// Register 4j+e (e<2) of S is row r, column 8j+2*(lane%4)+e; 4j+2+e is row r+8.
struct RowState { float max[2], sum[2]; };

// Masks, updates the running maximum, turns s into exp2(scale*(s-max)) and returns the factors by
// which the accumulator has to be multiplied. Columns of row r from limit on are masked, relative to this
// thread's first column of the block, and with a window those before low; limit8 and low8 are those of row r + 8.
template <bool FIRST, bool MASK>
__device__ __forceinline__ bool softmax_block(const Params& p, float (&s)[BN / 2], RowState& st, float (&alpha)[2], int limit, int limit8, int low, int low8) {
    const float kNegInf = neg_inf(), scale = p.scale_log2;
#if SOFTCAP
#pragma unroll
    for (int i = 0; i < BN / 2; i++) s[i] = tanh_approx(s[i] * p.capped_scale) * p.cap_log2;
#endif
    if (MASK) {
#pragma unroll
        for (int j = 0; j < BN / 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                if (8 * j + e >= limit || (WINDOW && 8 * j + e < low)) s[4 * j + e] = kNegInf;
                if (8 * j + e >= limit8 || (WINDOW && 8 * j + e < low8)) s[4 * j + 2 + e] = kNegInf;
            }
    }
    bool changed = false;
    float shift[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float m0 = FIRST ? kNegInf : st.max[r], m1 = kNegInf;   // two chains for latency
#pragma unroll
        for (int j = 0; j < BN / 8; j++) {
            m0 = fmaxf(m0, s[4 * j + 2 * r]);
            m1 = fmaxf(m1, s[4 * j + 2 * r + 1]);
        }
        float m = fmaxf(m0, m1);
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
        if (!FIRST) {
            // Keep the old maximum while the new one is at most 2^8 above it: the result is the same
            // after normalisation and no factor has to be applied.
            bool grew = (m - st.max[r]) * scale > 8.0f || st.max[r] == kNegInf;
            m = grew ? m : st.max[r];
            changed |= grew;
        }
        float safe = (MASK && m == kNegInf) ? 0.0f : m;
        alpha[r] = FIRST ? 1.0f : exp2_approx((st.max[r] - safe) * scale);
        st.max[r] = m;
        shift[r] = safe * scale;
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float a0 = FIRST ? 0.0f : st.sum[r] * alpha[r], a1 = 0.0f;
#pragma unroll
        for (int j = 0; j < BN / 8; j++) {
            float x0 = exp2_approx(fmaf(s[4 * j + 2 * r], scale, -shift[r]));
            float x1 = exp2_approx(fmaf(s[4 * j + 2 * r + 1], scale, -shift[r]));
            s[4 * j + 2 * r] = x0;
            s[4 * j + 2 * r + 1] = x1;
            a0 += x0;
            a1 += x1;
        }
        st.sum[r] = a0 + a1;
    }
    return __any_sync(~0u, changed);
}

__device__ __forceinline__ void pack_p(u32 (&p)[BN / 4], const float (&s)[BN / 2]) {
#pragma unroll
    for (int i = 0; i < BN / 4; i++) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

// Blocks [window, full) need no mask; head -1: no more tiles.
struct Tile { int query_start, queries, first, head, key_start, keys, blocks, lowest, window, full; };

// A tile whose rows see no key has one block, all of it masked.
__device__ __forceinline__ Tile make_tile(const Params& p, int index) {
    if (index >= p.tile_count) return Tile{0, 0, 0, -1, 0, 0, 0, 0, 0, 0};
    const int4 at = p.tiles[index];
    const Sequence s = p.sequences[at.x];
    const int past = s.keys - s.queries;
    Tile t{s.query_start, s.queries, at.y, at.z, s.key_start, s.keys, (s.keys + BN - 1) / BN, 0, 0, s.keys / BN};
    if (CAUSAL) {
        const int last = min(s.keys, t.first + BM + past);
        t.blocks = last <= 0 ? 0 : (last + BN - 1) / BN;
        t.full = min(t.full, max(0, (t.first + past + 1) / BN));
    }
    t.blocks = max(t.blocks, 1);
    if (WINDOW) {
        t.lowest = min(t.blocks - 1, max(0, past + t.first - p.window + 1) / BN);
        t.window = (max(0, past + t.first + BM - p.window) + BN - 1) / BN;
    }
    return t;
}

struct Smem {
    u32 q, k, v;                                     // tile storage
    u32 q_full, q_empty, k_full, k_empty, v_full, v_empty, t_full, t_empty;   // barriers
    Tile* ring;                                      // DEPTH tiles
};

// ---- producer: one thread finds tiles, one loads them

__device__ __forceinline__ void scheduler(const Params& p, const Smem& m) {
    Ring tp{0, 1};
    for (int tile = blockIdx.x;; tp.next(DEPTH)) {
        const int next = (int)atomicAdd(p.counter, 1u) + (int)gridDim.x;   // asked for while this tile is looked up
        const Tile t = make_tile(p, tile);
        barrier_wait(m.t_empty + 8 * tp.slot, tp.phase);
        m.ring[tp.slot] = t;
        barrier_arrive(m.t_full + 8 * tp.slot);
        if (t.head < 0) break;
        tile = next;
    }
    // The last block to get here resets the counter for the next launch.
    __threadfence();
    if (atomicAdd(p.counter + 1, 1u) == gridDim.x - 1) {
        p.counter[0] = 0;
        p.counter[1] = 0;
    }
}

__device__ __forceinline__ void producer(const Params& p, const Smem& m) {
    Ring kp{0, 1}, vp{0, 1}, tp{0, 0};
    for (;; tp.next(DEPTH)) {
        barrier_wait(m.t_full + 8 * tp.slot, tp.phase);
        const Tile& t = m.ring[tp.slot];         // stays in shared memory: the producer has few registers
        if (t.head < 0) break;
        const int kv_head = t.head / p.group;
        barrier_wait(m.q_empty + 8 * tp.slot, tp.phase ^ 1);
        barrier_expect(m.q_full + 8 * tp.slot, kQBytes);
        load_head_tile(m.q + tp.slot * kQBytes, &p.q, m.q_full + 8 * tp.slot, t.query_start + t.first, t.head, kEvictFirst);
        for (int n = t.blocks - 1; n >= t.lowest - 1; n--) {
            if (n >= t.lowest) {
                barrier_wait(m.k_empty + 8 * kp.slot, kp.phase);
                barrier_expect(m.k_full + 8 * kp.slot, kKVBytes);
                load_head_tile(m.k + kp.slot * kKVBytes, &p.k, m.k_full + 8 * kp.slot, t.key_start + n * BN, kv_head, kEvictLast);
                kp.next(STAGES);
            }
            if (n + 1 < t.blocks) {
                barrier_wait(m.v_empty + 8 * vp.slot, vp.phase);
                barrier_expect(m.v_full + 8 * vp.slot, kKVBytes);
                load_head_tile(m.v + vp.slot * kKVBytes, &p.v, m.v_full + 8 * vp.slot, t.key_start + (n + 1) * BN, kv_head, kEvictLast);
                vp.next(STAGES);
            }
        }
        barrier_arrive(m.t_empty + 8 * tp.slot);
    }
}

// ---- consumers

struct Consumer {
    const Params& p;
    const Smem& m;
    int wg, lane;
    Ring kp, vp, tp;                             // tp: tiles and their Q
    u64 dq0, dk0, dv0;
    float o[HEAD_DIM / 2];
    float s[BN / 2];
    u32 pr[BN / 4];
    RowState st;

    __device__ __forceinline__ void release(u32 bar) { barrier_arrive_if(bar, lane == 0); }
    __device__ __forceinline__ u64 dq(u32 slot) const { return dq0 + (u64)(slot * (kQBytes / 16)); }
    __device__ __forceinline__ u64 dk() const { return dk0 + (u64)(kp.slot * (kKVBytes / 16)); }
    __device__ __forceinline__ u64 dv() const { return dv0 + (u64)(vp.slot * (kKVBytes / 16)); }
    __device__ __forceinline__ void turn_wait() { if (kConsumers > 1) named_sync(1 + wg, 256); }
    __device__ __forceinline__ void turn_pass() { if (kConsumers > 1) named_arrive(1 + (wg + 1 == kConsumers ? 0 : wg + 1), 256); }

    __device__ __forceinline__ void rescale(const float (&alpha)[2], bool any) {
        if (any) {
#pragma unroll
            for (int i = 0; i < HEAD_DIM / 2; i++) o[i] *= alpha[(i >> 1) & 1];
        }
    }

    template <bool MASK> __device__ __forceinline__ void step(int limit, int limit8, int low, int low8, bool accumulate) {
        float alpha[2];
        barrier_wait(m.k_full + 8 * kp.slot, kp.phase);
        turn_wait();
        pin(s);
        wgmma_fence();
        issue_qk(s, dq(tp.slot), dk());
        barrier_wait(m.v_full + 8 * vp.slot, vp.phase);
        pin(o); pin(pr);
        wgmma_fence();
        issue_pv(o, pr, dv(), accumulate);
        turn_pass();
        wgmma_wait<1>();
        pin(s);
        release(m.k_empty + 8 * kp.slot);
        kp.next(STAGES);
        bool any = softmax_block<false, MASK>(p, s, st, alpha, limit, limit8, low, low8);
        wgmma_wait<0>();
        pin(o);
        release(m.v_empty + 8 * vp.slot);
        vp.next(STAGES);
        pack_p(pr, s);
        rescale(alpha, any);
    }

    __device__ __forceinline__ void store(const Tile& t, int row0, const float (&inv)[2]) {
        int quad = lane & 3;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            int row = row0 + 8 * r;
            bf16* base = p.o + ((i64)(t.query_start + row) * p.heads + t.head) * HEAD_DIM;
#pragma unroll
            for (int q = 0; q < HEAD_DIM / 32; q++) {
                // Transpose 4x4 words inside the quad, so that each lane owns 8 adjacent columns.
                u32 w[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int j = 4 * q + i;
                    w[i] = pack_bf16(o[4 * j + 2 * r] * inv[r], o[4 * j + 2 * r + 1] * inv[r]);
                }
#pragma unroll
                for (int bit = 1; bit <= 2; bit <<= 1) {
                    bool up = quad & bit;
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        if (i & bit) continue;
                        u32 got = __shfl_xor_sync(~0u, up ? w[i] : w[i | bit], bit);
                        if (up) w[i] = got; else w[i | bit] = got;
                    }
                }
                if (row < t.queries)
                    *(uint4*)(base + 8 * (4 * q + quad)) = make_uint4(w[0], w[1], w[2], w[3]);
            }
        }
    }

    // Normalises: the factors of O, and in st.sum the LSE.
    __device__ __forceinline__ void end_rows(float (&inv)[2], int head) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float sum = st.sum[r], max = st.max[r] * p.scale_log2;
            sum += __shfl_xor_sync(~0u, sum, 1);
            sum += __shfl_xor_sync(~0u, sum, 2);
            inv[r] = sum > 0.0f ? 1.0f / sum : 0.0f;
#if SINKS
            const float sink = p.sinks[head] * 1.4426950408889634f;
            if (sum > 0.0f) {
                sum += exp2f(sink - max);
                inv[r] = 1.0f / sum;
            } else {
                sum = 1.0f;
                max = sink;
            }
#endif
            st.sum[r] = sum > 0.0f ? max * 0.6931471805599453f + __logf(sum) : neg_inf();
        }
    }

    // S of the first block of the tile at tp; of nothing that counts behind the last tile.
    __device__ __forceinline__ void first_product() {
        barrier_wait(m.t_full + 8 * tp.slot, tp.phase);
        if (m.ring[tp.slot].head >= 0) {
            barrier_wait(m.q_full + 8 * tp.slot, tp.phase);
            barrier_wait(m.k_full + 8 * kp.slot, kp.phase);
        }
        pin(s);
        wgmma_fence();
        issue_qk(s, dq(tp.slot), dk());
    }
    __device__ __forceinline__ void end_first_product() {
        wgmma_wait<0>();
        pin(s);
        release(m.k_empty + 8 * kp.slot);
        kp.next(STAGES);
    }

    __device__ __forceinline__ void run() {
        const int warp_row = 16 * ((threadIdx.x / 32) & 3) + (lane >> 2), col = 2 * (lane & 3);
        if (kConsumers > 1 && wg == 0) named_arrive(1, 256);
        first_product();
        end_first_product();
        while (true) {
            const u32 slot = tp.slot;
            const Tile& t = m.ring[slot];        // stays in shared memory: registers are short
            if (t.head < 0) break;
            int n = t.blocks - 1;
            const int row0 = t.first + 64 * wg + warp_row, past = t.keys - t.queries;
            // Relative to this thread's first column of block 0.
            const int end = (CAUSAL ? min(t.keys, row0 + 1 + past) : t.keys) - col, end8 = (CAUSAL ? min(t.keys, row0 + 9 + past) : t.keys) - col;
            const int low = WINDOW ? row0 + past - p.window + 1 - col : 0, low8 = low + 8;
            float alpha[2], inv[2];
            softmax_block<true, true>(p, s, st, alpha, end - n * BN, end8 - n * BN, low - n * BN, low8 - n * BN);
            pack_p(pr, s);

            bool accumulate = false;
            n--;
            const int lowest = WINDOW ? t.lowest : 0, full = max(t.full, lowest), free = WINDOW ? max(t.window, lowest) : 0;
#pragma unroll 1
            for (; n >= full; n--) {
                step<true>(end - n * BN, end8 - n * BN, low - n * BN, low8 - n * BN, accumulate);
                accumulate = true;
            }
#pragma unroll 1
            for (; n >= free; n--) {
                step<false>(0, 0, 0, 0, accumulate);
                accumulate = true;
            }
#if WINDOW
#pragma unroll 1
            for (; n >= lowest; n--) {
                step<true>(end - n * BN, end8 - n * BN, low - n * BN, low8 - n * BN, accumulate);
                accumulate = true;
            }
#endif
            release(m.q_empty + 8 * slot);       // every product that reads Q is complete

            barrier_wait(m.v_full + 8 * vp.slot, vp.phase);
            pin(o); pin(pr);
            wgmma_fence();
            issue_pv(o, pr, dv(), accumulate);
            tp.next(DEPTH);
            first_product();
            end_rows(inv, t.head);
            wgmma_wait<1>();
            pin(o);
            release(m.v_empty + 8 * vp.slot);
            vp.next(STAGES);
            store(t, row0, inv);
            if (p.lse && (lane & 3) == 0)
#pragma unroll
                for (int r = 0; r < 2; r++)
                    if (row0 + 8 * r < t.queries) p.lse[(i64)(t.query_start + row0 + 8 * r) * p.heads + t.head] = st.sum[r];
            __syncwarp();
            release(m.t_empty + 8 * slot);
            end_first_product();
        }
    }
};

// ---- kernel

extern "C" __global__ void __launch_bounds__(kThreads, BLOCKS) attention(const __grid_constant__ Params p) {
    extern __shared__ unsigned char raw[];
    u32 base = (smem_u32(raw) + 1023) & ~1023u;                     // the swizzle needs 1024 B alignment
    Smem m;
    m.q = base;
    m.k = m.q + DEPTH * kQBytes;
    m.v = m.k + STAGES * kKVBytes;
    m.q_full = m.v + STAGES * kKVBytes;
    m.q_empty = m.q_full + 8 * DEPTH;
    m.t_full = m.q_empty + 8 * DEPTH;
    m.t_empty = m.t_full + 8 * DEPTH;
    m.k_full = m.t_empty + 8 * DEPTH;
    m.k_empty = m.k_full + 8 * STAGES;
    m.v_full = m.k_empty + 8 * STAGES;
    m.v_empty = m.v_full + 8 * STAGES;
    m.ring = (Tile*)(raw + (((m.v_empty + 8 * STAGES + 15) & ~15u) - smem_u32(raw)));

    if (threadIdx.x == 0) {
        constexpr int kWarps = 4 * kConsumers;                     // each consumer warp releases for itself
        for (int i = 0; i < DEPTH; i++) {
            barrier_init(m.q_full + 8 * i, 1);
            barrier_init(m.q_empty + 8 * i, kWarps);
            barrier_init(m.t_full + 8 * i, 1);
            barrier_init(m.t_empty + 8 * i, kWarps + 1);           // and the producer
        }
        for (int i = 0; i < STAGES; i++) {
            barrier_init(m.k_full + 8 * i, 1);
            barrier_init(m.k_empty + 8 * i, kWarps);
            barrier_init(m.v_full + 8 * i, 1);
            barrier_init(m.v_empty + 8 * i, kWarps);
        }
        publish_barriers();
    }
    __syncthreads();

    int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (group == 0) {
        fewer_registers<kProducerRegs>();
        if (threadIdx.x == 0) producer(p, m);
        if (threadIdx.x == 32) scheduler(p, m);
    } else {
        more_registers<kConsumerRegs>();
        int wg = group - 1;
        Consumer c{p, m, wg, (int)(threadIdx.x & 31), Ring{0, 0}, Ring{0, 0}, Ring{0, 0},
                   matrix_descriptor(m.q + 64 * 128 * wg, 0), matrix_descriptor(m.k, 0), matrix_descriptor(m.v, BN * 128)};
        c.run();
    }
}
