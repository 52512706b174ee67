// DELLA's trimming: entries of a row ranked by magnitude (equal ones by position), each kept where its random word is below a bound that rises
// with the rank. One block per row and source; what stays is one bit per entry.
// -D: SOURCES SRC TRIM (merge.cuh); SORTED (row length rounded up to a power of 2)
#include "merge.cuh"

#define SORTERS 512

// density - epsilon + 2 epsilon rank / (length - 1), as the CPU rounds it, times 2^32.
__device__ __forceinline__ u32 bound(const Source& s, int rank, int length) {
    const double p = length == 1 ? s.density
        : __dadd_rn(__dsub_rn(s.density, s.epsilon), __ddiv_rn(__dmul_rn(__dmul_rn(2.0, s.epsilon), (double)rank), (double)(length - 1)));
    const double b = rint(__dmul_rn(p, 4294967296.0));
    return b <= 0.0 ? 0u : b >= 4294967295.0 ? 0xffffffffu : (u32)b;
}

__device__ __forceinline__ void sort(u64* keys) {
    for (int size = 2; size <= SORTED; size <<= 1)
        for (int step = size >> 1; step > 0; step >>= 1) {
            __syncthreads();
            for (int k = threadIdx.x; k < SORTED / 2; k += SORTERS) {
                const int a = (k & ~(step - 1)) * 2 + (k & (step - 1)), b = a + step;
                const u64 x = keys[a], y = keys[b];
                if ((x > y) == ((a & size) == 0)) {
                    keys[a] = y;
                    keys[b] = x;
                }
            }
        }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(SORTERS) rank_rows(const __grid_constant__ Params p) {
    extern __shared__ u64 keys[];
    u32* words = (u32*)(keys + SORTED);          // of the entries; then whether they stay
    const int i = 1 + blockIdx.y, length = p.line;
    const Source s = p.sources[p.tensor * SOURCES + i], base = p.sources[p.tensor * SOURCES];
    if (s.rule != RULE_TRIM) return;
    const i64 start = (i64)blockIdx.x * length, end = start + length;
    for (int k = threadIdx.x; k < SORTED; k += SORTERS)
        keys[k] = k < length ? (u64)magnitude(delta_of(load_one(s, start + k), load_one(base, start + k))) << 32 | (u32)k : ~0ULL;
    for (i64 counter = start / 32 * 8 + threadIdx.x; counter < (end + 31) / 32 * 8; counter += SORTERS) {
        const Words w = philox(s.key, (u64)counter);
        for (int q = 0; q < 4; q++) {
            const i64 e = counter / 8 * 32 + counter % 8 + 8 * q;
            if (e >= start && e < end) words[e - start] = w.w[q];
        }
    }
    sort(keys);
    for (int rank = threadIdx.x; rank < length; rank += SORTERS) {
        const u32 k = (u32)keys[rank];
        words[k] = words[k] < bound(s, rank, length) ? 1 : 0;
    }
    __syncthreads();
    u32* mask = p.mask + ((i64)i * p.tiles + p.tensors[p.tensor].first_tile) * TILE_WORDS;
    for (i64 word = start / 32 + threadIdx.x; word <= (end - 1) / 32; word += SORTERS) {
        u32 bits = 0;
        for (int b = 0; b < 32; b++) {
            const i64 e = word * 32 + b;
            if (e >= start && e < end) bits |= words[e - start] << b;
        }
        if (bits) atomicOr(mask + word, bits);
    }
}
