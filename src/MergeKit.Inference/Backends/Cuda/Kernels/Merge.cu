// The elementwise step of a merge, over all tensors of a group: one block per tile.
// -D: SOURCES SRC TRIM (merge.cuh); SCHEME (0 weighted sum, 1 sum of task vectors, 2 their vote) NORMALIZE
//     STORED (type of the result: 0 float32, 1 bf16, 2 float16) OUT (type that is written: STORED, or what an engine reads)
#include "merge.cuh"

#if OUT == 0
typedef float Element;
#else
typedef u16 Element;
#endif

// To nearest even; a NaN stays one, quiet, as on the CPU.
__device__ __forceinline__ u16 bf16_bits(float x) {
    const u32 b = (u32)__float_as_int(x);
    return (u16)((x != x ? b | 0x00400000u : b + 0x7fffu + ((b >> 16) & 1)) >> 16);
}

__device__ __forceinline__ Element encode(float x) {
#if STORED == 0 && OUT == 0
    return x;
#elif STORED == 1 && OUT == 1
    return bf16_bits(x);
#elif STORED == 2 && OUT == 2
    return float_to_half(x);
#else
    const float y = STORED == 0 ? x : STORED == 1 ? __int_as_float((u32)bf16_bits(x) << 16) : half_to_float(float_to_half(x));
#if OUT == 0
    return y;
#else
    bf16 z;
    from_float(y, z);
    return z.bits;
#endif
#endif
}

// Which of the thread's STEP elements random words leave, for all threads of a warp: a group of 32 elements lies in 32 / STEP threads.
__device__ __forceinline__ u32 random_bits(const Source& s, i64 at) {
    const int q = (int)(at & 31) / STEP;
    u32 bits = 0;
#pragma unroll
    for (int j = 0; j < STEP / 4; j++) {
        const int c = q * (STEP / 4) + j;
        const Words words = philox(s.key, (u64)(at >> 5) * 8 + c);
#pragma unroll
        for (int w = 0; w < 4; w++) bits |= (words.w[w] < s.below ? 1u : 0u) << (4 * c + w);
    }
#pragma unroll
    for (int d = 1; d < 32 / STEP; d <<= 1) bits |= __shfl_xor_sync(~0u, bits, d);
    u32 own = 0;
#pragma unroll
    for (int i = 0; i < STEP; i++) {
        const int m = q * STEP + i;
        own |= (bits >> (4 * (m & 7) + (m >> 3)) & 1) << i;
    }
    return own;
}

struct Row {
    Source s;
#if TRIM == 1
    Span span;
#endif
};

// The source's task vector, trimmed.
__device__ __forceinline__ void trimmed(const Params& p, const Row& row, int i, u32 random, int owner, int tile, i64 start, int local, const float (&base)[STEP], float (&x)[STEP]) {
#pragma unroll
    for (int j = 0; j < STEP; j++) x[j] = delta_of(x[j], base[j]);
#if TRIM == 1
    if (row.span.plain) {
#pragma unroll
        for (int j = 0; j < STEP; j++)
            if (magnitude(x[j]) - row.span.from > row.span.span) x[j] = 0.0f;
    } else {
        const Range range = range_of(p.cuts + (owner * SOURCES + i) * 2, start);
#pragma unroll
        for (int j = 0; j < STEP; j++)
            if (!stays(range, magnitude(x[j]), local + j)) x[j] = 0.0f;
    }
#else
    u32 kept = row.s.rule == RULE_NOTHING ? 0 : ~0u;
#if TRIM == 2
    if (row.s.rule == RULE_TRIM) kept = random;
#elif TRIM == 3
    if (row.s.rule == RULE_TRIM) kept = p.mask[((i64)i * p.tiles + tile) * TILE_WORDS + local / 32] >> (local & 31);
#endif
#pragma unroll
    for (int j = 0; j < STEP; j++)
        if (!(kept >> j & 1)) x[j] = 0.0f;
#endif
}

#if SCHEME == 2
// a / b of b that is not 0, to nearest even. A numerator of 0 would send the whole warp the division's long way.
__device__ __forceinline__ float quotient(float a, float b) {
    const float q = __fdiv_rn(a == 0.0f ? 1.0f : a, b);
    return a == 0.0f ? __int_as_float((__float_as_int(a) ^ __float_as_int(b)) & 0x80000000) : q;
}

// TIES' election.
__device__ __forceinline__ float vote(const Row (&rows)[SOURCES], const float (&x)[SOURCES][STEP], int j) {
    float sum = 0.0f, merged = 0.0f, divisor = 0.0f;
#pragma unroll
    for (int i = 1; i < SOURCES; i++) sum = __fadd_rn(sum, __fmul_rn(x[i][j], rows[i].s.factor));
    const bool positive = sum >= 0.0f;
#pragma unroll
    for (int i = 1; i < SOURCES; i++) {
        const float e = __fmul_rn(x[i][j], rows[i].s.factor);
        const bool counts = positive ? e > 0.0f : e < 0.0f;
        merged = __fadd_rn(merged, counts ? e : 0.0f);
        divisor = __fadd_rn(divisor, counts ? rows[i].s.weight : 0.0f);
    }
#if NORMALIZE
    merged = quotient(merged, divisor == 0.0f ? 1.0f : divisor);
#endif
    return merged;
}
#endif

__device__ __forceinline__ float combined(const Tensor& t, const Row (&rows)[SOURCES], const float (&x)[SOURCES][STEP], int j) {
#if SCHEME == 2
    float y = vote(rows, x, j);
#else
    const int first = SCHEME;
    float y = SOURCES > first ? __fmul_rn(x[first][j], rows[first].s.factor) : 0.0f;
#pragma unroll
    for (int i = first + 1; i < SOURCES; i++) y = __fadd_rn(__fmul_rn(x[i][j], rows[i].s.factor), y);
    if (t.divisor != 1.0f) y = __fdiv_rn(y, t.divisor);
#endif
#if SCHEME > 0
    y = __fadd_rn(__fmul_rn(y, t.lambda), x[0][j]);
#endif
    return y;
}

// Where element `at` goes; most tensors have fewer than 2^32, whose division is several times faster.
__device__ __forceinline__ i64 place_of(const Tensor& t, i64 at) {
    if (t.pitch == t.columns) return at;
    if (t.count >> 32) return at / t.columns * t.pitch + at % t.columns;
    const u32 row = (u32)at / (u32)t.columns;
    return (i64)row * t.pitch + ((u32)at - row * (u32)t.columns);
}

__device__ __forceinline__ void store_some(const Tensor& t, i64 at, const float (&y)[STEP]) {
    Element* target = (Element*)t.target;
    if (t.vector && at + STEP <= t.count) {
        Pack<Element, STEP> v;
#pragma unroll
        for (int i = 0; i < STEP; i++) v.e[i] = encode(y[i]);
        *(Pack<Element, STEP>*)(target + place_of(t, at)) = v;
        return;
    }
#pragma unroll
    for (int i = 0; i < STEP; i++)
        if (at + i < t.count) target[place_of(t, at + i)] = encode(y[i]);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) combine(const __grid_constant__ Params p) {
    const int tile = blockIdx.x, owner = p.owner[tile];
    const Tensor t = p.tensors[owner];
    const i64 start = (i64)(tile - t.first_tile) * TILE;
    Row rows[SOURCES];
#pragma unroll
    for (int i = 0; i < SOURCES; i++) {
        rows[i].s = p.sources[owner * SOURCES + i];
#if TRIM == 1
        rows[i].span = span_of(rows[i].s, p.cuts + (owner * SOURCES + i) * 2, start);
#endif
    }
    int bad = 0;
#pragma unroll 1
    for (int first = 0; first < TILE && start + first < t.count; first += THREADS * STEP) {
        const int local = first + threadIdx.x * STEP;
        const i64 at = start + local;
#if SCHEME > 0
        u32 random[SOURCES] = {};
#endif
#if TRIM == 2
#pragma unroll
        for (int i = 1; i < SOURCES; i++)
            if (rows[i].s.rule == RULE_TRIM) random[i] = random_bits(rows[i].s, at);
#endif
        if (at >= t.count) continue;
        float x[SOURCES][STEP], y[STEP];
        load_all([&](int i) -> const Source& { return rows[i].s; }, at, t.count, x);
#if SCHEME > 0
#pragma unroll
        for (int i = 1; i < SOURCES; i++) trimmed(p, rows[i], i, random[i], owner, tile, start, local, x[0], x[i]);
#endif
#pragma unroll
        for (int j = 0; j < STEP; j++) y[j] = combined(t, rows, x, j);
        u32 largest = 0;
#pragma unroll
        for (int j = 0; j < STEP; j++) largest = max(largest, magnitude(y[j]));
        if (largest >= 0x7f800000u)
            for (int j = 0; j < STEP; j++) bad += at + j < t.count && magnitude(y[j]) >= 0x7f800000u;
        store_some(t, at, y);
    }
    if (bad) atomicAdd(p.not_finite, (u64)bad);
}
