// Whole-tensor sums of a merge: one warp per tile, 32 lanes in float64, in the order of the CPU's TensorMath.Dot and SumOfMagnitudes.
// -D: SOURCES SRC TRIM (merge.cuh); ARC (1: products of two sources, 0: magnitudes of task vectors and of what is left of them)
#include "merge.cuh"

#define SUMS (ARC ? 3 : 2 * SOURCES)
#define WARPS (THREADS / 32)

// a + b + (c + d) of the lanes' eights, these one after the other, then what was left over, `rest` values in the first lanes.
__device__ __forceinline__ double total(double lane_sum, double extra, int rest) {
    const double pair = __dadd_rn(lane_sum, __shfl_down_sync(~0u, lane_sum, 8));
    const double four = __dadd_rn(pair, __shfl_down_sync(~0u, pair, 16));
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < 8; i++) sum = __dadd_rn(sum, __shfl_sync(~0u, four, i));
    for (int i = 0; i < rest; i++) sum = __dadd_rn(sum, __shfl_sync(~0u, extra, i));
    return sum;
}

#if ARC
__device__ __forceinline__ void add(const float (&x)[SOURCES], const bool (&)[SOURCES], double (&sums)[SUMS]) {
    const double a = x[0], b = x[SOURCES - 1];
    sums[0] = __dadd_rn(sums[0], __dmul_rn(a, b));
    sums[1] = __dadd_rn(sums[1], __dmul_rn(a, a));
    sums[2] = __dadd_rn(sums[2], __dmul_rn(b, b));
}
#else
__device__ __forceinline__ void add(const float (&x)[SOURCES], const bool (&keep)[SOURCES], double (&sums)[SUMS]) {
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        const double m = fabsf(delta_of(x[i], x[0]));
        sums[2 * i] = __dadd_rn(sums[2 * i], m);
        sums[2 * i + 1] = __dadd_rn(sums[2 * i + 1], keep[i] ? m : 0.0);
    }
}
#endif

struct Rows {
    Source s[SOURCES];
#if TRIM == 1
    Range range[SOURCES];
#endif
};

// The elements at `local`, and which of them trimming leaves; `random`: bit i for source i.
__device__ __forceinline__ void look(const Params& p, const Rows& rows, int tile, i64 start, int local, u32 random, float (&x)[SOURCES], bool (&keep)[SOURCES]) {
#pragma unroll
    for (int i = 0; i < SOURCES; i++) x[i] = load_one(rows.s[i], start + local);
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        keep[i] = rows.s[i].rule != RULE_NOTHING;
        if (rows.s[i].rule != RULE_TRIM) continue;
#if TRIM == 1
        keep[i] = stays(rows.range[i], magnitude(delta_of(x[i], x[0])), local);
#elif TRIM == 2
        keep[i] = random >> i & 1;
#elif TRIM == 3
        keep[i] = p.mask[((i64)i * p.tiles + tile) * TILE_WORDS + local / 32] >> (local & 31) & 1;
#endif
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, SOURCES < 4 ? 4 : 1) sums(const __grid_constant__ Params p) {
    const int lane = threadIdx.x & 31, tile = blockIdx.x * WARPS + (threadIdx.x >> 5);
    if (tile >= p.tiles) return;
    const int owner = p.owner[tile];
    const Tensor t = p.tensors[owner];
    const i64 start = (i64)(tile - t.first_tile) * TILE;
    const int length = t.count - start < TILE ? (int)(t.count - start) : TILE, body = length & ~31, rest = length & 31;
    Rows rows;
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        rows.s[i] = p.sources[owner * SOURCES + i];
#if TRIM == 1
        rows.range[i] = range_of(p.cuts + (owner * SOURCES + i) * 2, start);
#endif
    }
    double sums[SUMS] = {}, extra[SUMS] = {};
    float x[SOURCES];
    bool keep[SOURCES] = {};
#pragma unroll 1
    for (int first = 0; first < body; first += 128) {
        u32 random[4] = {};
#if TRIM == 2
        // Lane l makes the words of counter l % 8 of group l / 8: the votes of all lanes are the bits of four groups.
#pragma unroll
        for (int i = 1; i < SOURCES; i++)
            if (rows.s[i].rule == RULE_TRIM) {
                const Words words = philox(rows.s[i].key, ((u64)(start + first) >> 5) * 8 + lane);
                u32 mine = 0;
#pragma unroll
                for (int w = 0; w < 4; w++) {
                    const u32 all = __ballot_sync(~0u, words.w[w] < rows.s[i].below);
                    if (lane >> 3 == w) mine = all;
                }
#pragma unroll
                for (int g = 0; g < 4; g++) random[g] |= (mine >> (8 * g + (lane & 7)) & 1) << i;
            }
#endif
#pragma unroll
        for (int g = 0; g < 4; g++)
            if (first + 32 * g < body) {
                look(p, rows, tile, start, first + 32 * g + lane, random[g], x, keep);
                add(x, keep, sums);
            }
    }
    if (lane < rest) {
        u32 random = 0;
#if TRIM == 2
        for (int i = 1; i < SOURCES; i++) random |= (word_of(rows.s[i].key, start + body + lane) < rows.s[i].below ? 1u : 0u) << i;
#endif
        look(p, rows, tile, start, body + lane, random, x, keep);
        add(x, keep, extra);
    }
    for (int i = ARC ? 0 : 2; i < SUMS; i++) {
        const double sum = total(sums[i], extra[i], rest);
        if (lane == 0) p.partial[(i64)tile * 2 * SOURCES + i] = sum;
    }
}

// One thread per tensor and pair of sums: adds the tiles in order; task vectors get w_i sum|D| / sum|trimmed D| as their factor.
extern "C" __global__ void __launch_bounds__(THREADS) finish_sums(const __grid_constant__ Params p) {
    const int index = blockIdx.x * THREADS + threadIdx.x;
    if (index >= p.count * SOURCES) return;
    const int owner = index / SOURCES, i = index % SOURCES;
    const Tensor t = p.tensors[owner];
    const int tiles = (int)((t.count + TILE - 1) / TILE);
    const double* from = p.partial + (i64)t.first_tile * 2 * SOURCES + 2 * i;
    double a = 0.0, b = 0.0;
#pragma unroll 8
    for (int k = 0; k < tiles; k++) {
        a = __dadd_rn(a, from[(i64)k * 2 * SOURCES]);
        b = __dadd_rn(b, from[(i64)k * 2 * SOURCES + 1]);
    }
    p.sums[(i64)index * 2] = a;
    p.sums[(i64)index * 2 + 1] = b;
#if !ARC
    if (i > 0 && p.sources[index].rule != RULE_EVERYTHING && a >= 1e-7 && b >= 1e-7)
        p.sources[index].factor = (float)__dmul_rn(p.sources[index].amount, __ddiv_rn(a, b));
#endif
}
