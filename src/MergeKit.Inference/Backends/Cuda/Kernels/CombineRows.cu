// One law from the logits of the members of an ensemble, for each of some rows: log-probabilities
//   MIXTURE 1: ln sum_k e^(c_k) softmax(l_k)    (linear; c_k may be minus infinity)
//   MIXTURE 0: log softmax(sum_k c_k l_k)       (log-linear, experts against anti-experts; c_k of any sign)
// CLUSTER blocks share a row: each sums over its columns, all exchange their sums through shared memory, and each writes its columns, from
// what every thread has kept in shared memory for itself, or reads again where that has no room. Sums have a fixed order.
// -D: MEMBERS (1 to 8) MIXTURE CLUSTER (1 where there are no clusters) VEC (elements per access; divides the width) KEEP THREADS
#include "cluster.cuh"

struct Params {
    const float* rows[8];                            // [rows, width] of each member
    const float* coefficients;                       // [rows, MEMBERS]
    float* out;                                      // [rows, width]; may be one of the rows
    int width;
};

struct Sum { float max, sum; };                      // sum of exp(x - max)

constexpr int kSums = MIXTURE ? MEMBERS : 1;
constexpr float kLog2E = 1.4426950408889634f;

__device__ __forceinline__ Sum join(Sum a, Sum b) {
    const float top = fmaxf(a.max, b.max);
    if (top == neg_inf()) return Sum{top, 0.0f};
    return Sum{top, a.sum * exp2_approx((a.max - top) * kLog2E) + b.sum * exp2_approx((b.max - top) * kLog2E)};
}

__device__ __forceinline__ void add(Sum& s, const float (&x)[VEC]) {
    float top = s.max;
#pragma unroll
    for (int i = 0; i < VEC; i++) top = fmaxf(top, x[i]);
    if (top == neg_inf()) return;
    if (top > s.max) s.sum *= exp2_approx((s.max - top) * kLog2E);
    s.max = top;
#pragma unroll
    for (int i = 0; i < VEC; i++) s.sum += exp2_approx((x[i] - top) * kLog2E);
}

// What block `rank` of the cluster has at p.
__device__ __forceinline__ float of_block(const float* p, u32 rank) {
#if CLUSTER > 1
    float x;
    asm volatile("{\n.reg .b32 r;\nmapa.shared::cluster.u32 r, %1, %2;\nld.shared::cluster.f32 %0, [r];\n}\n" : "=f"(x) : "r"(smem_u32(p)), "r"(rank) : "memory");
    return x;
#else
    return *p;
#endif
}

__device__ __forceinline__ void load(const Params& p, i64 at, float (&x)[MEMBERS][VEC]) {
#pragma unroll
    for (int k = 0; k < MEMBERS; k++) load_floats<VEC>(p.rows[k] + at, x[k]);
}

// The weighted sum of the members' logits.
__device__ __forceinline__ void weigh(const float (&c)[MEMBERS], const float (&x)[MEMBERS][VEC], float (&y)[VEC]) {
#pragma unroll
    for (int i = 0; i < VEC; i++) {
        float sum = 0;
#pragma unroll
        for (int k = 0; k < MEMBERS; k++) sum = fmaf(c[k], x[k][i], sum);
        y[i] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
#if CLUSTER > 1
__cluster_dims__(CLUSTER, 1, 1)
#endif
combine_rows(const __grid_constant__ Params p) {
    __shared__ Sum warps[kSums][THREADS / 32];
    __shared__ Sum own[kSums];
    const int rank = blockIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const int slice = (p.width / VEC + CLUSTER - 1) / CLUSTER * VEC, begin = min(p.width, rank * slice), end = min(p.width, begin + slice);
    const i64 row = (i64)blockIdx.y * p.width;
    Sum sums[kSums];
    float factors[MEMBERS];
#pragma unroll
    for (int k = 0; k < MEMBERS; k++) factors[k] = p.coefficients[(i64)blockIdx.y * MEMBERS + k];
#pragma unroll
    for (int k = 0; k < kSums; k++) sums[k] = Sum{neg_inf(), 0.0f};
#if KEEP
    extern __shared__ __align__(16) float kept[];    // [accesses][kSums][THREADS][VEC]
    float* mine = kept + threadIdx.x * VEC;
#endif
#pragma unroll (MEMBERS > 2 ? 2 : 4)
    for (int c = begin + threadIdx.x * VEC; c < end; c += THREADS * VEC) {
        float x[MEMBERS][VEC];
        load(p, row + c, x);
#if !MIXTURE
        weigh(factors, x, x[0]);
#endif
#pragma unroll
        for (int k = 0; k < kSums; k++) {
            add(sums[k], x[k]);
#if KEEP
            store_floats<VEC>(mine, x[k]);
            mine += THREADS * VEC;
#endif
        }
    }
#pragma unroll
    for (int k = 0; k < kSums; k++) {
#pragma unroll
        for (int d = 16; d; d >>= 1) sums[k] = join(sums[k], Sum{__shfl_xor_sync(~0u, sums[k].max, d), __shfl_xor_sync(~0u, sums[k].sum, d)});
        if (lane == 0) warps[k][warp] = sums[k];
    }
    __syncthreads();
    if (threadIdx.x < kSums) {
        Sum s = warps[threadIdx.x][0];
        for (int w = 1; w < THREADS / 32; w++) s = join(s, warps[threadIdx.x][w]);
        own[threadIdx.x] = s;
    }
    cluster_sync();
    float shift[kSums];                              // what turns a logit into the logarithm of its share
#pragma unroll
    for (int k = 0; k < kSums; k++) {
        Sum s{neg_inf(), 0.0f};
        for (int r = 0; r < CLUSTER; r++) s = join(s, Sum{of_block(&own[k].max, r), of_block(&own[k].sum, r)});
        shift[k] = (MIXTURE ? factors[k] : 0.0f) - s.max - logf(s.sum);
    }
#if KEEP
    mine = kept + threadIdx.x * VEC;
#endif
#pragma unroll (MEMBERS > 2 ? 2 : 4)
    for (int c = begin + threadIdx.x * VEC; c < end; c += THREADS * VEC) {
        float x[MEMBERS][VEC], y[VEC];
#if KEEP
#pragma unroll
        for (int k = 0; k < kSums; k++) {
            load_floats<VEC>(mine, x[k]);
            mine += THREADS * VEC;
        }
#else
        load(p, row + c, x);
#if !MIXTURE
        weigh(factors, x, x[0]);
#endif
#endif
#if MIXTURE
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            float top = neg_inf(), sum = 0;
#pragma unroll
            for (int k = 0; k < MEMBERS; k++) {
                x[k][i] += shift[k];
                top = fmaxf(top, x[k][i]);
            }
#pragma unroll
            for (int k = 0; k < MEMBERS; k++) sum += exp2_approx((x[k][i] - top) * kLog2E);
            y[i] = top == neg_inf() ? top : fmaf(log2_approx(sum), 0.6931471805599453f, top);
        }
#else
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = x[0][i] + shift[0];
#endif
        store_floats<VEC>(p.out + row + c, y);
    }
    cluster_sync();                                  // no block may leave while its peers still read its sums
}
