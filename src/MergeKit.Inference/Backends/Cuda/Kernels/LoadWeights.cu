// Weights as stored to weights as used: another element type, and rows for columns where stored transposed.
// -D: SOURCE (0 float32, 1 bf16, 2 float16, 3 float64, 4 fp8 e4m3, 5 fp8 e5m2) OUT_BF16 TRANSPOSED
#include "common.cuh"

#if OUT_BF16
typedef bf16 Out;
#else
typedef float Out;
#endif
#if SOURCE == 0
typedef float In;
#elif SOURCE == 1 || SOURCE == 2
typedef u16 In;
#elif SOURCE == 3
typedef double In;
#else
typedef u8 In;
#endif

struct Params {
    const In* x;                 // [rows, columns], or [columns, rows] where transposed
    Out* y;                      // [rows, columns]
    i64 rows, columns, pitch;    // pitch: elements from a row of y to the next
};

__device__ __forceinline__ float decode(In x) {
#if SOURCE == 0
    return x;
#elif SOURCE == 1
    return __int_as_float((u32)x << 16);
#elif SOURCE == 2
    return half_to_float(x);
#elif SOURCE == 3
    return (float)x;
#elif SOURCE == 4
    const u32 exponent = (x >> 3) & 15, mantissa = x & 7;
    float y = exponent ? __int_as_float((exponent + 120) << 23 | mantissa << 20) : mantissa * 0.001953125f;
    if ((x & 0x7f) == 0x7f) y = __int_as_float(0x7fc00000);
    return x & 0x80 ? -y : y;
#else
    return half_to_float((u16)(x << 8));
#endif
}

#if TRANSPOSED
extern "C" __global__ void __launch_bounds__(256) load_weights(const __grid_constant__ Params p) {
    __shared__ float tile[32][33];
    const i64 r0 = (i64)blockIdx.x * 32, c0 = (i64)blockIdx.y * 32;
    const int x = threadIdx.x & 31, y0 = threadIdx.x >> 5;
    for (int y = y0; y < 32; y += 8)
        if (c0 + y < p.columns && r0 + x < p.rows) tile[y][x] = decode(p.x[(c0 + y) * p.rows + r0 + x]);
    __syncthreads();
    for (int y = y0; y < 32; y += 8)
        if (r0 + y < p.rows && c0 + x < p.columns) from_float(tile[x][y], p.y[(r0 + y) * p.pitch + c0 + x]);
}
#else
extern "C" __global__ void __launch_bounds__(256) load_weights(const __grid_constant__ Params p) {
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < p.rows * p.columns; i += (i64)gridDim.x * 256) 
        from_float(decode(p.x[i]), p.y[p.pitch == p.columns ? i : i / p.columns * p.pitch + i % p.columns]);
}
#endif
