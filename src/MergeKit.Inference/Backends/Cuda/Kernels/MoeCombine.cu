// y[t] += sum over k of weights[t, k] * (x[places[t, k]] + bias[experts[t, k]]), in the order of k; y is float.
// -D: IN_BF16 TOP_K VEC BIAS
#include "common.cuh"

#if IN_BF16
typedef bf16 In;
#else
typedef float In;
#endif

struct Params {
    const In* x;                 // [tokens * TOP_K, width], rows by expert
    const int* places;           // [tokens, TOP_K]: the row of x
    const int* experts;          // [tokens, TOP_K]
    const float* weights;        // [tokens, TOP_K]
    const float* bias;           // [experts, width] where BIAS
    float* y;                    // [tokens, width]
    int width;
};

extern "C" __global__ void __launch_bounds__(256) moe_combine(const __grid_constant__ Params p) {
    const i64 t = blockIdx.x;
    for (int c = threadIdx.x * VEC; c < p.width; c += 256 * VEC) {
        float sum[VEC], x[VEC];
        load_floats<VEC>(p.y + t * p.width + c, sum);
#pragma unroll
        for (int k = 0; k < TOP_K; k++) {
            const i64 place = t * TOP_K + k;
            const float w = p.weights[place];
            load_floats<VEC>(p.x + (i64)p.places[place] * p.width + c, x);
#if BIAS
            float b[VEC];
            load_floats<VEC>(p.bias + (i64)p.experts[place] * p.width + c, b);
#pragma unroll
            for (int i = 0; i < VEC; i++) x[i] += b[i];
#endif
#pragma unroll
            for (int i = 0; i < VEC; i++) sum[i] += w * x[i];
        }
        store_floats<VEC>(p.y + t * p.width + c, sum);
    }
}
