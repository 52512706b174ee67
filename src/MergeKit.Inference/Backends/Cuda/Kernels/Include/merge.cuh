// Tables of a merge of many tensors in few launches, and the steps that several kernels take alike. All arithmetic is rounded step by step
// (no fused multiply-add), in the order in which the CPU's merge computes: the bits are the same.
// -D: SOURCES (sources) SRC (type of all sources: 0 float32, 1 bf16, 2 float16, 3 as each one says)
//     TRIM (0 none, 1 by rank of magnitude, 2 random, 3 by mask)
#pragma once
#include "common.cuh"

#define TILE 16384               // elements of one tensor that belong together: also the block of whole-tensor sums
#define TILE_WORDS (TILE / 32)
#define STEP (SOURCES <= 5 ? 8 : 4)     // elements that a thread moves at once
#define THREADS 256

struct Tensor {
    i64 count;
    void* target;
    i64 columns, pitch;          // of the target: elements of a row, and from one row to the next
    int first_tile;
    int vector;                  // whether STEP elements can be stored at once
    float divisor, lambda;
};

enum { RULE_EVERYTHING, RULE_NOTHING, RULE_TRIM };

// Source 0 of task vectors is the base.
struct Source {
    const void* data;
    u64 key;                     // of the random words
    double amount;               // w_i
    double density, epsilon;     // of ranks in rows
    int type, rule;
    float factor;                // what the source, or its task vector, is multiplied by
    float weight;                // what it counts in a divisor
    u32 below;                   // random words below this stay
    int pad;
};

// A cut through the magnitudes of a task vector: [0] below it go, [1] above it go.
struct Cut {
    i64 rank;                    // from the largest, from 1; 0: no cut
    i64 above;                   // entries above what has been found so far; in the end which tie is the last of the first side
    i64 ties;                    // entries of exactly the cut's magnitude
    i64 last;                    // index of the last tie on the first side: stays, or for DROP_SMALLEST goes
    u32 bits;                    // leading bits found so far; in the end the magnitude
    int side;
};

enum { KEEP_LARGEST, DROP_SMALLEST, DROP_LARGEST };

#define ALL_TIES 0x7fffffffffffffffLL
#define TIES_WANTED -2

struct Params {
    const Tensor* tensors;
    Source* sources;             // [tensor, SOURCES]
    Cut* cuts;                   // [tensor, SOURCES, 2]
    const int* owner;            // [tile]: its tensor
    u32* mask;                   // [SOURCES, tile, TILE_WORDS]
    u32* histograms;             // [tensor, SOURCES, 2, BINS]
    u32* ties;                   // [tile, SOURCES, 2]
    double* partial;             // [tile, SOURCES, 2]
    double* sums;                // [tensor, SOURCES, 2]
    u64* not_finite;             // how many results are not
    int tiles, count;            // count: tensors
    int tensor, line;            // of `rank_rows`
};

__device__ __forceinline__ float decode(u16 x, int type) { return type == 1 ? __int_as_float((u32)x << 16) : half_to_float(x); }

__device__ __forceinline__ float load_one(const Source& s, i64 at) {
    const int type = SRC == 3 ? s.type : SRC;
    return type == 0 ? ((const float*)s.data)[at] : decode(((const u16*)s.data)[at], type);
}

// STEP elements; sources are aligned. Where all have one type there is no branch, so that the loads of several are under way together.
__device__ __forceinline__ void load_whole(const Source& s, i64 at, float (&x)[STEP]) {
    const int type = SRC == 3 ? s.type : SRC;
    if (type == 0) {
        const Pack<float, STEP> v = *(const Pack<float, STEP>*)((const float*)s.data + at);
#pragma unroll
        for (int i = 0; i < STEP; i++) x[i] = v.e[i];
    } else {
        const Pack<u16, STEP> v = *(const Pack<u16, STEP>*)((const u16*)s.data + at);
#pragma unroll
        for (int i = 0; i < STEP; i++) x[i] = decode(v.e[i], type);
    }
}

// STEP elements, those from `count` on as 0.
__device__ __forceinline__ void load_some(const Source& s, i64 at, i64 count, float (&x)[STEP]) {
    if (at + STEP <= count) {
        load_whole(s, at, x);
        return;
    }
#pragma unroll
    for (int i = 0; i < STEP; i++) x[i] = at + i < count ? load_one(s, at + i) : 0.0f;
}

// STEP elements of every source.
template <typename F> __device__ __forceinline__ void load_all(F source, i64 at, i64 count, float (&x)[SOURCES][STEP]) {
    if (at + STEP <= count) {
#pragma unroll
        for (int i = 0; i < SOURCES; i++) load_whole(source(i), at, x[i]);
    } else {
#pragma unroll
        for (int i = 0; i < SOURCES; i++) load_some(source(i), at, count, x[i]);
    }
}

// w - b; a NaN as x86 makes it, since NaNs have magnitudes too: the first operand's, else the second's, quiet.
__device__ __forceinline__ float delta_of(float w, float b) {
    const float d = __fsub_rn(w, b);
    if (d == d) return d;
    return __int_as_float(w != w ? __float_as_int(w) | 0x00400000 : b != b ? __float_as_int(b) | 0x00400000 : 0xffc00000);
}

__device__ __forceinline__ u32 magnitude(float x) { return (u32)__float_as_int(x) & 0x7fffffffu; }

// Both cuts of a task vector, seen from a tile.
struct Range {
    u32 low, high;
    int low_last, high_last;
    bool keep_first;
};

__device__ __forceinline__ int within(i64 last, i64 start) { return last < start ? -1 : last - start >= TILE ? TILE : (int)(last - start); }

__device__ __forceinline__ Range range_of(const Cut* cuts, i64 start) {
    Range r;
    r.low = cuts[0].rank ? cuts[0].bits : 0;
    r.low_last = cuts[0].rank ? within(cuts[0].last, start) : TILE;
    r.keep_first = !cuts[0].rank || cuts[0].side == KEEP_LARGEST;
    r.high = cuts[1].rank ? cuts[1].bits : 0xffffffffu;
    r.high_last = cuts[1].rank ? within(cuts[1].last, start) : TILE;
    return r;
}

__device__ __forceinline__ bool stays(const Range& r, u32 m, int local) {
    return (m > r.low || (m == r.low && (local <= r.low_last) == r.keep_first)) && (m < r.high || (m == r.high && local <= r.high_last));
}

// What stays of a task vector in one tile, as one run of magnitudes: m - from <= span (unsigned). Not `plain` where a tie that stays and one that
// goes lie in the same tile; that is one tile of a tensor at most for each cut.
struct Span {
    u32 from, span;
    bool plain;
};

__device__ __forceinline__ Span span_of(const Source& s, const Cut* cuts, i64 start) {
    if (s.rule == RULE_EVERYTHING) return {0, 0xffffffffu, true};
    const Span none = {0x80000000u, 0, true};
    if (s.rule == RULE_NOTHING) return none;
    const Range r = range_of(cuts, start);
    if ((r.low_last >= 0 && r.low_last < TILE) || (r.high_last >= 0 && r.high_last < TILE)) return {0, 0, false};
    const i64 from = (i64)r.low + ((r.low_last >= TILE) == r.keep_first ? 0 : 1), to = (i64)r.high - (r.high_last >= TILE ? 0 : 1);
    return to < from ? none : Span{(u32)from, (u32)(to - from), true};
}

// Philox4x32-10 (Salmon et al. 2011).
struct Words { u32 w[4]; };
__device__ __forceinline__ Words philox(u64 key, u64 counter) {
    u32 c0 = (u32)counter, c1 = (u32)(counter >> 32), c2 = 0, c3 = 0, k0 = (u32)key, k1 = (u32)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c1 = (u32)p1;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// Element m of a group of 32 takes word m / 8 of counter m % 8 of the group.
__device__ __forceinline__ u32 word_of(u64 key, i64 element) {
    const int m = (int)(element & 31);
    return philox(key, (u64)(element >> 5) * 8 + (m & 7)).w[m >> 3];
}
