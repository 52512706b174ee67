// Attention of one query token per sequence over a paged cache, bf16 in and out, float32 sums. What counts is the one
// pass over K and V.
//
// A block takes a piece (a range of tokens) of one sequence and one kv head; its warps take 16 tokens in turn. K and V
// go from memory to registers once, serve up to 8 query heads, and are asked for again as soon as they were consumed.
// Q K^T has the heads as rows and tokens as columns, which leaves the probabilities where V^T P^T needs them; pairs of
// tokens of V are packed by byte permutes. The order of the columns of K and of the rows of V^T is free, which is what
// makes 16-byte loads possible without shared memory. The last block of a sequence and head to finish merges its
// pieces in the order of the tokens, so that results repeat.
// Pages: [page][kv head][64][HEAD_DIM]; keys and values have a base each and share the distance between pages.
//
// -D: HEAD_DIM (64, 128, 256) WARPS MINB (blocks of a multiprocessor) WINDOW SOFTCAP ALIBI SINKS
#include "mma.cuh"

struct Params {
    const bf16* q;               // [sequences][heads][HEAD_DIM]
    const bf16* k;
    const bf16* v;
    bf16* o;                     // [sequences][heads][HEAD_DIM]
    float* lse;                  // [sequences][heads], natural logarithm; may be null
    float* part_o;               // [place][heads][HEAD_DIM]
    float* part_lse;             // [place][heads], base 2
    const int* table;            // [sequences][table_stride]
    const int4* pieces;          // sequence, first token, end, index | count << 16; end 0: unused
    const int* places;           // [sequences]: where the partial results of a sequence begin
    u32* counters;               // [sequences][blocks of heads], zero; left so
    const float* slopes;         // [heads]
    const float* sinks;          // [heads]
    i64 page_stride;             // elements from a page to the next
    int kv_heads, group, table_stride;
    int parts;                   // blocks of up to 8 query heads that share a kv head
    float scale_log2;            // scale times log2(e)
    float softcap, capped_scale; // capped_scale: scale / softcap
};

constexpr int kPage = 64, kMaxPages = 512, kSteps = HEAD_DIM / 32, kColumns = HEAD_DIM / 16, kVLoads = HEAD_DIM >= 128 ? HEAD_DIM / 64 : 1;
#define LOG2E 1.4426950408889634f

__device__ __forceinline__ uint4 load_stream(const bf16* p) {
    uint4 r;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "l"(p));
    return r;
}
__device__ __forceinline__ u32 word(const uint4& v, int i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

// The queries of up to 8 heads as a lane reads them: in registers, or in shared memory where heads are wide.
#if HEAD_DIM > 128
struct Query {
    const uint4 (*rows)[kSteps * 4 + 1];
    int g, t;
    __device__ __forceinline__ uint4 at(int u) const { return rows[g][u * 4 + t]; }
};
#else
struct Query {
    uint4 x[kSteps];
    __device__ __forceinline__ uint4 at(int u) const { return x[u]; }
};
#endif

struct Tile {                    // 16 tokens of K and V of a lane
    uint4 k[2][kSteps], v[4][kVLoads];

    __device__ __forceinline__ void load_k(const bf16* page, int token, int end, int g, int t) {
#pragma unroll
        for (int n = 0; n < 2; n++) {
            const bf16* row = page + (min(token + n * 8 + g, end - 1) & (kPage - 1)) * HEAD_DIM + t * 8;
#pragma unroll
            for (int u = 0; u < kSteps; u++) k[n][u] = load_stream(row + u * 32);
        }
    }
    __device__ __forceinline__ void load_v(const bf16* page, int token, int end, int g, int t) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const bf16* row = page + (min(token + t * 2 + (r & 1) + (r >> 1) * 8, end - 1) & (kPage - 1)) * HEAD_DIM + g * 8;
#pragma unroll
            for (int h = 0; h < kVLoads; h++) v[r][h] = load_stream(row + h * 64);
        }
    }
};

// Sum j of a lane holds, in rows g and g + 8 of V^T, these columns of V.
__device__ __forceinline__ int column_of(int j, int g, int high) {
#if HEAD_DIM == 64
    return g * 8 + j + 4 * high;
#else
    return (j / 8 * 2 + high) * 64 + g * 8 + j % 8;
#endif
}
__device__ __forceinline__ u32 pair_of(const uint4 (&v)[4][kVLoads], int j, int high, int r) {   // column_of(j, high) of tokens r, r + 1
#if HEAD_DIM == 64
    const int c = j + 4 * high, h = 0;
#else
    const int c = j % 8, h = j / 8 * 2 + high;
#endif
    return __byte_perm(word(v[r][h], c >> 1), word(v[r + 1][h], c >> 1), c & 1 ? 0x7632 : 0x5410);
}

// The running softmax of a lane's head, base 2, and its sums over V.
struct State {
    float o[kColumns][4], max, sum;

    __device__ __forceinline__ void add(const Query& query, Tile& tile, const bf16* next_k, const bf16* next_v, int token, int next, int first, int end,
                                        const Params& p, float slope, int g, int t) {
        float s[2][4] = {};
#pragma unroll
        for (int u = 0; u < kSteps; u++) {
            const uint4 q = query.at(u);
            const u32 a0[4] = {q.x, 0, q.y, 0}, a1[4] = {q.z, 0, q.w, 0};
#pragma unroll
            for (int n = 0; n < 2; n++) {
                mma_bf16(s[n], a0, tile.k[n][u].x, tile.k[n][u].y);
                mma_bf16(s[n], a1, tile.k[n][u].z, tile.k[n][u].w);
            }
        }
        if (next < end) tile.load_k(next_k, next, end, g, t);
        float a[4];                                  // tokens 2t, 2t + 1, 2t + 8, 2t + 9
#pragma unroll
        for (int i = 0; i < 4; i++) {
            a[i] = s[i >> 1][i & 1];
#if SOFTCAP
            a[i] = tanh_exp(a[i] * p.capped_scale) * (p.softcap * LOG2E);
#else
            a[i] *= p.scale_log2;
#endif
#if ALIBI
            a[i] += slope * (token + t * 2 + (i & 1) + (i >> 1) * 8);
#endif
        }
        if (token + 16 > end || (WINDOW && token < first))
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int at = token + t * 2 + (i & 1) + (i >> 1) * 8;
                if (at >= end || (WINDOW && at < first)) a[i] = neg_inf();
            }
        float m = fmaxf(fmaxf(a[0], a[1]), fmaxf(a[2], a[3]));
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 1));
        m = fmaxf(m, __shfl_xor_sync(~0u, m, 2));
        if (__any_sync(~0u, m > max)) {
            const float top = fmaxf(max, m), alpha = top == neg_inf() ? 1.0f : exp2_approx(max - top);
            max = top;
            sum *= alpha;
            const float a0 = __shfl_sync(~0u, alpha, t * 8), a1 = __shfl_sync(~0u, alpha, t * 8 + 4);
#pragma unroll
            for (int j = 0; j < kColumns; j++) {
                o[j][0] *= a0, o[j][1] *= a1;
                o[j][2] *= a0, o[j][3] *= a1;
            }
        }
        const float shift = WINDOW && max == neg_inf() ? 0.0f : max;
#pragma unroll
        for (int i = 0; i < 4; i++) a[i] = exp2_approx(a[i] - shift);
        sum += (a[0] + a[1]) + (a[2] + a[3]);
        const u32 b0 = pack_bf16(a[0], a[1]), b1 = pack_bf16(a[2], a[3]);
#pragma unroll
        for (int j = 0; j < kColumns; j++) {
            const u32 v[4] = {pair_of(tile.v, j, 0, 0), pair_of(tile.v, j, 1, 0), pair_of(tile.v, j, 0, 2), pair_of(tile.v, j, 1, 2)};
            mma_bf16(o[j], v, b0, b1);
        }
        if (next < end) tile.load_v(next_v, next, end, g, t);
    }
};

// A row of O of a warp: lane l holds elements l * 4 and on of each 128 (D = 64: the lower half of the warp).
struct Row {
    static constexpr int kParts = (HEAD_DIM + 127) / 128;
    float4 x[kParts];

    __device__ __forceinline__ static bool holds(int lane) { return HEAD_DIM >= 128 || lane * 4 < HEAD_DIM; }
    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < kParts; i++) x[i] = make_float4(0, 0, 0, 0);
    }
    __device__ __forceinline__ void add(float f, const float4& y, int i) { x[i].x += f * y.x, x[i].y += f * y.y, x[i].z += f * y.z, x[i].w += f * y.w; }
};

// O and LSE of a head from a weighted sum of V; `max` and `sum` of the softmax in base 2.
__device__ __forceinline__ void write(const Params& p, const Row& r, float max, float sum, int sequence, int head, int lane) {
#if SINKS
    const float sink = p.sinks[head] * LOG2E, top = fmaxf(max, sink), f = exp2_approx(max - top);
    sum = sum * f + exp2_approx(sink - top);
    const float inv = sum > 0.0f ? f / sum : 0.0f;
    max = top;
#else
    const float inv = sum > 0.0f ? 1.0f / sum : 0.0f;
#endif
    const i64 row = (i64)sequence * (p.kv_heads * p.group) + head;
    if (Row::holds(lane))
#pragma unroll
        for (int i = 0; i < Row::kParts; i++)
            *(uint2*)(p.o + row * HEAD_DIM + i * 128 + lane * 4) = make_uint2(pack_bf16(r.x[i].x * inv, r.x[i].y * inv), pack_bf16(r.x[i].z * inv, r.x[i].w * inv));
    if (lane == 0 && p.lse) p.lse[row] = sum > 0.0f ? (max + __log2f(sum)) * 0.69314718056f : neg_inf();
}

// The pieces of a sequence, in order, for one head.
__device__ __forceinline__ void merge(const Params& p, int place, int count, int sequence, int head, int lane) {
    const i64 heads = p.kv_heads * p.group, row = place * heads + head;
    float top = neg_inf(), sum = 0;
    for (int s = lane; s < count; s += 32) top = fmaxf(top, __ldcg(p.part_lse + row + s * heads));
    top = warp_max(top);
    const float shift = top == neg_inf() ? 0.0f : top;
    Row r;
    r.clear();
    for (int s0 = 0; s0 < count; s0 += 32) {
        const float mine = s0 + lane < count ? exp2_approx(__ldcg(p.part_lse + row + (s0 + lane) * heads) - shift) : 0.0f;
        sum += mine;
        const int n = min(32, count - s0);
#pragma unroll 8
        for (int i = 0; i < n; i++) {
            const float f = __shfl_sync(~0u, mine, i);
            if (Row::holds(lane))
#pragma unroll
                for (int part = 0; part < Row::kParts; part++)
                    r.add(f, __ldcg((const float4*)(p.part_o + (row + (s0 + i) * heads) * HEAD_DIM + part * 128 + lane * 4)), part);
        }
    }
    write(p, r, top, warp_sum(sum), sequence, head, lane);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32, MINB) attention_decode(const __grid_constant__ Params p) {
    __shared__ int pages[kMaxPages];
    __shared__ __align__(16) float so[WARPS][8][HEAD_DIM + 4];
    __shared__ float sm[WARPS][8], sl[WARPS][8];
    __shared__ u32 last;
    const int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, g = lane >> 2, t = lane & 3;
    const int kv_head = blockIdx.x / p.parts, part = blockIdx.x % p.parts;
    let_next_start();
    wait_for_previous();                             // everything may come from the kernels before
    const int4 it = p.pieces[blockIdx.y];
    const int sequence = it.x, first = it.y, end = it.z, index = it.w & 0xffff, count = it.w >> 16;
    if (end == 0) return;
    const int begin = first & ~(kPage - 1), n_pages = (end - begin + kPage - 1) / kPage;
    const int head0 = kv_head * p.group + part * 8, n_heads = min(8, p.group - part * 8), heads = p.kv_heads * p.group;
    for (int i = tid; i < n_pages; i += WARPS * 32) pages[i] = p.table[(i64)sequence * p.table_stride + begin / kPage + i];
    const bf16* q0 = p.q + ((i64)sequence * heads + head0) * HEAD_DIM;
#if HEAD_DIM > 128
    __shared__ uint4 queries[8][kSteps * 4 + 1];
    for (int i = tid; i < 8 * kSteps * 4; i += WARPS * 32)
        queries[i / (kSteps * 4)][i % (kSteps * 4)] = i / (kSteps * 4) < n_heads ? *(const uint4*)(q0 + i * 8) : make_uint4(0, 0, 0, 0);
    const Query query{queries, g, t};
#else
    Query query;
#pragma unroll
    for (int u = 0; u < kSteps; u++) query.x[u] = g < n_heads ? *(const uint4*)(q0 + g * HEAD_DIM + u * 32 + t * 8) : make_uint4(0, 0, 0, 0);
#endif
    float slope = 0;
#if ALIBI
    if (g < n_heads) slope = p.slopes[head0 + g] * LOG2E;
#endif
    __syncthreads();

    State st;
    Tile tile;
    st.max = neg_inf(), st.sum = 0;
#pragma unroll
    for (int j = 0; j < kColumns; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) st.o[j][e] = 0;
    int token = begin + warp * 16;
    if (WINDOW)
        while (token + 16 <= first) token += WARPS * 16;
    auto page_of = [&](int at) { return (i64)pages[(at - begin) / kPage] * p.page_stride + (i64)kv_head * (kPage * HEAD_DIM); };
    if (token < end) {
        const i64 at = page_of(token);
        tile.load_k(p.k + at, token, end, g, t);
        tile.load_v(p.v + at, token, end, g, t);
    }
    for (; token < end; token += WARPS * 16) {
        const int next = token + WARPS * 16;
        const i64 at = next < end ? page_of(next) : 0;
        st.add(query, tile, p.k + at, p.v + at, token, next, first, end, p, slope, g, t);
    }

    st.sum += __shfl_xor_sync(~0u, st.sum, 1);
    st.sum += __shfl_xor_sync(~0u, st.sum, 2);
    if (t == 0) {
        sm[warp][g] = st.max;
        sl[warp][g] = st.sum;
    }
#pragma unroll
    for (int e = 0; e < 4; e++)
        if (t * 2 + (e & 1) < n_heads)
#pragma unroll
            for (int j = 0; j < kColumns; j++) so[warp][t * 2 + (e & 1)][column_of(j, g, e >> 1)] = st.o[j][e];
    __syncthreads();
    for (int h = warp; h < n_heads; h += WARPS) {
        float top = neg_inf(), sum = 0;
        Row r;
        r.clear();
        for (int w = 0; w < WARPS; w++) top = fmaxf(top, sm[w][h]);
        for (int w = 0; w < WARPS; w++) {
            const float f = sm[w][h] == neg_inf() ? 0.0f : exp2_approx(sm[w][h] - top);
            sum += f * sl[w][h];
            if (Row::holds(lane))
#pragma unroll
                for (int i = 0; i < Row::kParts; i++) r.add(f, *(const float4*)&so[w][h][i * 128 + lane * 4], i);
        }
        if (count == 1) {
            write(p, r, top, sum, sequence, head0 + h, lane);
            continue;
        }
        const i64 row = (i64)(p.places[sequence] + index) * heads + head0 + h;
        const float inv = sum > 0.0f ? 1.0f / sum : 0.0f;
        if (Row::holds(lane))
#pragma unroll
            for (int i = 0; i < Row::kParts; i++)
                *(float4*)(p.part_o + row * HEAD_DIM + i * 128 + lane * 4) = make_float4(r.x[i].x * inv, r.x[i].y * inv, r.x[i].z * inv, r.x[i].w * inv);
        if (lane == 0) p.part_lse[row] = sum > 0.0f ? top + __log2f(sum) : neg_inf();
    }
    if (count == 1) return;
    __threadfence();
    __syncthreads();
    if (tid == 0) {
        u32* counter = p.counters + (i64)sequence * gridDim.x + blockIdx.x;
        last = atomicAdd(counter, 1u) + 1 == (u32)count;
        if (last) *counter = 0;
    }
    __syncthreads();
    if (!last) return;
    __threadfence();
    for (int h = warp; h < n_heads; h += WARPS) merge(p, p.places[sequence], count, sequence, head0 + h, lane);
}
