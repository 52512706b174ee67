// Types and small functions that all kernels share. Compiled by NVRTC without any other header.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct bf16 { u16 bits; };

#define CAT2(a, b) a##b
#define CAT(a, b) CAT2(a, b)

__device__ __forceinline__ float neg_inf() { return __int_as_float(0xff800000); }

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return __int_as_float((u32)x.bits << 16); }

__device__ __forceinline__ void from_float(float x, float& y) { y = x; }
__device__ __forceinline__ void from_float(float x, bf16& y) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x)); }

__device__ __forceinline__ float half_to_float(u16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
__device__ __forceinline__ u16 float_to_half(float x) {
    u16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}

// Two floats to two bf16 in one word, lo in the lower half.
__device__ __forceinline__ u32 pack_bf16(float lo, float hi) {
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}

// Approximations of the special function unit, about 2 ulp.
__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float log2_approx(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float tanh_approx(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// tanh by one exponential: exact to 1e-7 of 1, also far from 0.
__device__ __forceinline__ float tanh_exp(float x) { return 1.0f - __fdividef(2.0f, 1.0f + exp2_approx(x * 2.8853900817779268f)); }

// Elements that are moved together: N of T, aligned to their size.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T e[N]; };

template <int N, typename T> __device__ __forceinline__ void load_floats(const T* p, float (&x)[N]) {
    Pack<T, N> v = *(const Pack<T, N>*)p;
#pragma unroll
    for (int i = 0; i < N; i++) x[i] = to_float(v.e[i]);
}
template <int N, typename T> __device__ __forceinline__ void store_floats(T* p, const float (&x)[N]) {
    Pack<T, N> v;
#pragma unroll
    for (int i = 0; i < N; i++) from_float(x[i], v.e[i]);
    *(Pack<T, N>*)p = v;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x += __shfl_xor_sync(~0u, x, d);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int d = 16; d; d >>= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, d));
    return x;
}

// The sum over a block of N threads, the same bits in every thread; all threads call it.
template <int N> __device__ __forceinline__ float block_sum(float x, float* scratch) {
    x = warp_sum(x);
    if (N == 32) return x;
    __syncthreads();
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = x;
    __syncthreads();
    float s = 0;
#pragma unroll
    for (int i = 0; i < N / 32; i++) s += scratch[i];
    return s;
}

__device__ __forceinline__ u32 smem_u32(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// The kernel before this one may still run: wait for its results; and let the next one start.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
