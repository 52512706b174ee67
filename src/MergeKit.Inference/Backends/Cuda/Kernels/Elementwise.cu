// Small passes over whole buffers: sums, biases, conversion, rows, activations.
// -D: IN_BF16 OUT_BF16 ACTIVATION (0 silu, 1 gelu, 2 gelu by tanh, 3 quick gelu, 4 relu, 5 relu squared, 6 tanh)
//     GATE (0 none, 1 halves, 2 interleaved) CLAMPED
#include "activation.cuh"

#if IN_BF16
typedef bf16 In;
#else
typedef float In;
#endif
#if OUT_BF16
typedef bf16 Out;
#else
typedef float Out;
#endif

struct Params {
    const In* x;
    Out* y;
    const float* bias;           // may be null
    const int* rows;             // of `gather`; of `gated`: which bias a row has, may be null
    i64 count;                   // elements of y
    int width;                   // elements of a row of y
    float limit;                 // of the clamped gate
};

#define EACH(i) for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < p.count; i += (i64)gridDim.x * 256)

// y += x (y is float), with x repeated every `width` elements where it is a bias.
extern "C" __global__ void __launch_bounds__(256) add(const __grid_constant__ Params p) {
    EACH(i) {
        float y = to_float(p.y[i]);
        y += p.bias ? p.bias[i % p.width] : to_float(p.x[i]);
        from_float(y, p.y[i]);
    }
}

// y = x in the other type.
extern "C" __global__ void __launch_bounds__(256) convert(const __grid_constant__ Params p) {
    EACH(i) from_float(to_float(p.x[i]), p.y[i]);
}

// y[r] = x[rows[r]].
extern "C" __global__ void __launch_bounds__(256) gather(const __grid_constant__ Params p) {
    EACH(i) {
        const i64 r = i / p.width, c = i - r * p.width;
        from_float(to_float(p.x[p.rows[r] * (i64)p.width + c]), p.y[i]);
    }
}

// y[r] = x[r] * bias[r].
extern "C" __global__ void __launch_bounds__(256) weigh(const __grid_constant__ Params p) {
    EACH(i) from_float(to_float(p.x[i]) * p.bias[i / p.width], p.y[i]);
}

// y = act(x + bias).
extern "C" __global__ void __launch_bounds__(256) activation(const __grid_constant__ Params p) {
    EACH(i) {
        const float b = p.bias ? p.bias[i % p.width] : 0.0f;
        from_float(activate(to_float(p.x[i]) + b), p.y[i]);
    }
}

// y[r] += x[r] / (1 + exp(-bias[r])); y is float.
extern "C" __global__ void __launch_bounds__(256) add_gated(const __grid_constant__ Params p) {
    EACH(i) from_float(to_float(p.y[i]) + to_float(p.x[i]) / (1.0f + expf(-p.bias[i / p.width])), p.y[i]);
}

// y = act(gate) * up; clamped: (min(up, limit) kept within limit, plus 1) * quick_gelu(min(gate, limit)).
extern "C" __global__ void __launch_bounds__(256) gated(const __grid_constant__ Params p) {
#if VEC > 1
    const int per_row = p.width / VEC;
    for (i64 v = (i64)blockIdx.x * 256 + threadIdx.x; v < p.count / VEC; v += (i64)gridDim.x * 256) {
        const i64 r = v / per_row, c = (v - r * per_row) * VEC, row = r * 2 * p.width;
        float g[VEC], u[VEC], y[VEC];
        load_floats<VEC>(p.x + row + c, g);
        load_floats<VEC>(p.x + row + p.width + c, u);
#pragma unroll
        for (int i = 0; i < VEC; i++) y[i] = gate_up(g[i], u[i], p.limit);
        store_floats<VEC>(p.y + v * VEC, y);
    }
#else
    EACH(i) {
        const i64 r = i / p.width, c = i - r * p.width;
        const i64 g = GATE == 2 ? 2 * c : c, u = GATE == 2 ? 2 * c + 1 : p.width + c;
        float gate = to_float(p.x[r * 2 * p.width + g]), up = to_float(p.x[r * 2 * p.width + u]);
        if (p.bias) {
            const float* bias = p.bias + (p.rows ? (i64)p.rows[r] * 2 * p.width : 0);
            gate += bias[g];
            up += bias[u];
        }
        from_float(gate_up(gate, up, p.limit), p.y[i]);
    }
#endif
}
