// Flash attention (arXiv 2205.14135, 2307.08691) with mma.sync for sm_80 and later: bf16 in and out, float32 sums.
// A block takes 64 queries of one head and sequence, a warp 16 of them; keys and values come in blocks of BN through
// shared memory: V(n) is on its way while S = Q K(n)^T is computed, K(n+1) while O += P V(n) is.
// Rows in shared memory are padded by 16 bytes, which keeps ldmatrix free of bank conflicts for any multiple of 16.
// -D: HEAD_DIM VALUE_DIM (multiples of 16) BN CAUSAL WINDOW SOFTCAP ALIBI SINKS (0 or 1 each)
#include "attention.cuh"
#include "mma.cuh"

constexpr int kRows = 64, kThreads = 128;
constexpr int kQkPitch = HEAD_DIM * 2 + 16, kVPitch = VALUE_DIM * 2 + 16;
constexpr float kLog2E = 1.4426950408889634f;

struct Params {
    const bf16* q; const bf16* k; const bf16* v;
    bf16* o;                                         // [tokens, heads, VALUE_DIM]
    float* lse;                                      // [tokens, heads], natural logarithm; may be null
    const Sequence* sequences;
    const int2* tiles;                               // sequence, first query
    const int* table;                                // null: keys and values are ragged
    const float* slopes; const float* sinks;         // per head
    int table_stride, heads, kv_heads, window;
    float scale, softcap;
};

template <int D> __device__ __forceinline__ void load_rows(u32 target, const KvRows<bf16>& rows, int first, int end) {
    constexpr int kChunks = D / 8;                   // of 16 bytes
    for (int i = threadIdx.x; i < BN * kChunks; i += kThreads) {
        const int r = i / kChunks, c = i - r * kChunks;
        const bool in = first + r < end;             // rows behind the end become zeros
        copy_async16(target + r * (D * 2 + 16) + c * 16, rows.row(in ? first + r : end - 1) + c * 8, in);
    }
    commit_async();
}

struct Softmax { float max[2], sum[2]; };

// Scales, caps, biases and masks the scores of this thread: register 4j+e (e < 2) is row r, column 8j+2(lane%4)+e; 4j+2+e is row r+8.
__device__ __forceinline__ void shape_scores(float (&s)[BN / 2], const Params& p, int key0, int position, int keys, float slope) {
    const float factor = p.scale * (SOFTCAP ? 1.0f : kLog2E);
#pragma unroll
    for (int i = 0; i < BN / 2; i++) {
        const int j = key0 + (i >> 2) * 8 + (i & 1), at = position + ((i >> 1) & 1) * 8;
        float x = s[i] * factor;
        if (SOFTCAP) x = p.softcap * kLog2E * tanhf(x / p.softcap);
        if (ALIBI) x += slope * kLog2E * j;
        const bool visible = j < keys && (!CAUSAL || j <= at) && (!WINDOW || j > at - p.window);
        s[i] = visible ? x : neg_inf();
    }
}

__device__ __forceinline__ void softmax_step(float (&s)[BN / 2], float (&o)[VALUE_DIM / 2], Softmax& st) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float m = st.max[r];
#pragma unroll
        for (int j = 0; j < BN / 8; j++) m = fmaxf(m, fmaxf(s[4 * j + 2 * r], s[4 * j + 2 * r + 1]));
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
        const float shift = m == neg_inf() ? 0.0f : m, old = exp2_approx(st.max[r] - shift);
        st.max[r] = m;
        float sum = st.sum[r] * old;
#pragma unroll
        for (int j = 0; j < BN / 8; j++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& x = s[4 * j + 2 * r + e];
                x = exp2_approx(x - shift);
                sum += x;
            }
        st.sum[r] = sum;
#pragma unroll
        for (int j = 0; j < VALUE_DIM / 8; j++) {
            o[4 * j + 2 * r] *= old;
            o[4 * j + 2 * r + 1] *= old;
        }
    }
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) attention(const __grid_constant__ Params p) {
    extern __shared__ __align__(16) u8 memory[];
    const u32 sq = smem_u32(memory), sk = sq + kRows * kQkPitch, sv = sk + BN * kQkPitch;
    const int2 tile = p.tiles[blockIdx.x];
    const Sequence seq = p.sequences[tile.x];
    const int head = blockIdx.y, kv_head = head / (p.heads / p.kv_heads), past = seq.keys - seq.queries;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const KvRows<bf16> keys(p.k, p.table, p.table_stride, tile.x, seq.key_start, p.kv_heads, kv_head, HEAD_DIM);
    const KvRows<bf16> values(p.v, p.table, p.table_stride, tile.x, seq.key_start, p.kv_heads, kv_head, VALUE_DIM);

    const int end = CAUSAL ? min(seq.keys, past + min(tile.y + kRows, seq.queries)) : seq.keys;
    const int begin = WINDOW ? max(0, past + tile.y - p.window + 1) / BN * BN : 0;
    constexpr int kChunks = HEAD_DIM / 8;
    for (int i = threadIdx.x; i < kRows * kChunks; i += kThreads) {
        const int r = i / kChunks, c = i - r * kChunks;
        const bool in = tile.y + r < seq.queries;
        const int row = seq.query_start + (in ? tile.y + r : 0);
        copy_async16(sq + r * kQkPitch + c * 16, p.q + ((i64)row * p.heads + head) * HEAD_DIM + c * 8, in);
    }
    if (begin < end) load_rows<HEAD_DIM>(sk, keys, begin, end);

    float o[VALUE_DIM / 2] = {};
    Softmax st{{neg_inf(), neg_inf()}, {0.0f, 0.0f}};
    const int row = warp * 16 + (lane >> 2), position = past + tile.y + row, column = 2 * (lane & 3);
    const float slope = ALIBI ? p.slopes[head] : 0.0f;
    const u32 aq = sq + (warp * 16 + (lane & 15)) * kQkPitch + (lane >> 4) * 16;
    const u32 ak = sk + ((lane & 7) + (lane >> 4) * 8) * kQkPitch + ((lane >> 3) & 1) * 16;
    const u32 av = sv + ((lane & 7) + ((lane >> 3) & 1) * 8) * kVPitch + (lane >> 4) * 16;
    for (int n = begin; n < end; n += BN) {
        wait_async<0>();
        __syncthreads();
        load_rows<VALUE_DIM>(sv, values, n, end);
        float s[BN / 2] = {};
#pragma unroll
        for (int d = 0; d < HEAD_DIM / 16; d++) {
            u32 a[4], b[4];
            load_matrix4(a, aq + d * 32);
#pragma unroll
            for (int j = 0; j < BN / 16; j++) {
                load_matrix4(b, ak + j * 16 * kQkPitch + d * 32);
                mma_bf16(s + 8 * j, a, b[0], b[1]);
                mma_bf16(s + 8 * j + 4, a, b[2], b[3]);
            }
        }
        shape_scores(s, p, n + column, position, seq.keys, slope);
        softmax_step(s, o, st);
        wait_async<0>();
        __syncthreads();
        if (n + BN < end) load_rows<HEAD_DIM>(sk, keys, n + BN, end);
#pragma unroll
        for (int j = 0; j < BN / 16; j++) {
            const u32 a[4] = {pack_bf16(s[8 * j], s[8 * j + 1]), pack_bf16(s[8 * j + 2], s[8 * j + 3]),
                              pack_bf16(s[8 * j + 4], s[8 * j + 5]), pack_bf16(s[8 * j + 6], s[8 * j + 7])};
#pragma unroll
            for (int d = 0; d < VALUE_DIM / 16; d++) {
                u32 b[4];
                load_matrix4_transposed(b, av + j * 16 * kVPitch + d * 32);
                mma_bf16(o + 8 * d, a, b[0], b[1]);
                mma_bf16(o + 8 * d + 4, a, b[2], b[3]);
            }
        }
    }
    wait_async<0>();
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float sum = st.sum[r];
        sum += __shfl_xor_sync(~0u, sum, 1);
        sum += __shfl_xor_sync(~0u, sum, 2);
        if (SINKS) sum += exp2_approx(p.sinks[head] * kLog2E - (st.max[r] == neg_inf() ? 0.0f : st.max[r]));
        const float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
        if (tile.y + row + 8 * r >= seq.queries) continue;
        const i64 at = (i64)(seq.query_start + tile.y + row + 8 * r) * p.heads + head;
#pragma unroll
        for (int j = 0; j < VALUE_DIM / 8; j++)
            *(u32*)(p.o + at * VALUE_DIM + 8 * j + column) = pack_bf16(o[4 * j + 2 * r] * inverse, o[4 * j + 2 * r + 1] * inverse);
        if (p.lse && column == 0) p.lse[at] = sum > 0.0f ? ((st.max[r] == neg_inf() ? 0.0f : st.max[r]) + __log2f(sum)) / kLog2E : neg_inf();
    }
}
