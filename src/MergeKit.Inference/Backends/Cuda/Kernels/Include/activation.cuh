// Pointwise functions of feed-forward blocks.
// FAST_ACTIVATION: by approximations, for results that are rounded to bf16.
// -D: ACTIVATION (0 silu, 1 gelu, 2 gelu by tanh, 3 quick gelu, 4 relu, 5 relu squared, 6 tanh) CLAMPED
#pragma once
#include "common.cuh"

__device__ __forceinline__ float activate(float x) {
#if FAST_ACTIVATION && ACTIVATION == 0
    return __fdividef(x, 1.0f + exp2_approx(x * -1.4426950408889634f));
#elif FAST_ACTIVATION && ACTIVATION == 2
    return 0.5f * x * (1.0f + tanh_exp(0.79788456080286536f * (x + 0.044715f * x * x * x)));
#elif FAST_ACTIVATION && ACTIVATION == 3
    return __fdividef(x, 1.0f + exp2_approx(x * (-1.702f * 1.4426950408889634f)));
#elif ACTIVATION == 0
    return x / (1.0f + expf(-x));
#elif ACTIVATION == 1
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
#elif ACTIVATION == 2
    return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
#elif ACTIVATION == 3
    return x / (1.0f + expf(-1.702f * x));
#elif ACTIVATION == 4
    return fmaxf(x, 0.0f);
#elif ACTIVATION == 5
    return fmaxf(x, 0.0f) * fmaxf(x, 0.0f);
#else
    return tanhf(x);
#endif
}

// act(gate) * up; clamped: (min(up, limit) kept within limit, plus 1) * quick_gelu(min(gate, limit)).
__device__ __forceinline__ float gate_up(float gate, float up, float limit) {
#if CLAMPED
    gate = fminf(gate, limit);
    up = fminf(fmaxf(up, -limit), limit) + 1.0f;
#endif
    return activate(gate) * up;
}
