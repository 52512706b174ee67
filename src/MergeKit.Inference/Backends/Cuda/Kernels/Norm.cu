// residual += delta (where given); out = norm(residual) * weight (+ bias), over groups of WIDTH elements.
//   RMS:   x / sqrt(mean(x^2) + eps)          LAYER: (x - mean) / sqrt(mean((x - mean)^2) + eps)
// One block per group; the group stays in registers, so that memory is read once and written once.
//
// -D: WIDTH THREADS VEC (elements per access: 4, or 1 where WIDTH is no multiple of 4) LAYER OUT_BF16 DELTA
#include "common.cuh"

#if OUT_BF16
typedef bf16 Out;
#else
typedef float Out;
#endif

struct Params {
    float* residual;
    const float* delta;
    const float* weight;
    const float* bias;           // may be null
    Out* out;                    // may be the residual itself where it is float
    int groups, weights;         // weight repeats every `weights` elements
    float eps;
};

extern "C" __global__ void __launch_bounds__(THREADS) norm_rows(const __grid_constant__ Params p) {
    constexpr int kSteps = (WIDTH + THREADS * VEC - 1) / (THREADS * VEC);
    __shared__ float scratch[THREADS / 32];
    let_next_start();
    wait_for_previous();
    const i64 base = (i64)blockIdx.x * WIDTH;
    float x[kSteps][VEC];
    float sum = 0;
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
        const int c = (s * THREADS + threadIdx.x) * VEC;
#pragma unroll
        for (int i = 0; i < VEC; i++) x[s][i] = 0;
        if (c < WIDTH) {
            load_floats<VEC>(p.residual + base + c, x[s]);
#if DELTA
            float d[VEC];
            load_floats<VEC>(p.delta + base + c, d);
#pragma unroll
            for (int i = 0; i < VEC; i++) x[s][i] += d[i];
            store_floats<VEC>(p.residual + base + c, x[s]);
#endif
        }
#pragma unroll
        for (int i = 0; i < VEC; i++) sum += LAYER ? x[s][i] : x[s][i] * x[s][i];
    }
    float w[kSteps][VEC];                            // read while the sum is made
    const int first = (int)(base % p.weights);
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
        const int c = (s * THREADS + threadIdx.x) * VEC;
        if (c < WIDTH) load_floats<VEC>(p.weight + first + c, w[s]);
    }
    sum = block_sum<THREADS>(sum, scratch);
    float mean = 0;
#if LAYER
    mean = sum / WIDTH;
    sum = 0;
#pragma unroll
    for (int s = 0; s < kSteps; s++)
#pragma unroll
        for (int i = 0; i < VEC; i++)
            if ((s * THREADS + threadIdx.x) * VEC + i < WIDTH) sum += (x[s][i] - mean) * (x[s][i] - mean);
    sum = block_sum<THREADS>(sum, scratch);
#endif
    const float scale = 1.0f / sqrtf(sum / WIDTH + p.eps);
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
        const int c = (s * THREADS + threadIdx.x) * VEC;
        if (c >= WIDTH) continue;
        float y[VEC];
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = (x[s][i] - mean) * scale * w[s][i];
        if (p.bias) {
            float b[VEC];
            load_floats<VEC>(p.bias + first + c, b);
#pragma unroll
            for (int i = 0; i < VEC; i++) y[i] += b[i];
        }
        store_floats<VEC>(p.out + base + c, y);
    }
}
