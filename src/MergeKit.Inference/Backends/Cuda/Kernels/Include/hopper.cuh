// Instructions of Hopper (sm_90a): barriers in shared memory, the tensor memory accelerator, warpgroup products.
#pragma once
#include "common.cuh"

struct alignas(64) TensorMap { u64 words[16]; };     // opaque

struct Ring {                                        // a position in a ring of slots, and the phase of its barriers
    u32 slot, phase;
    __device__ __forceinline__ void next(u32 slots) {
        if (++slot == slots) {
            slot = 0;
            phase ^= 1;
        }
    }
};

__device__ __forceinline__ void barrier_init(u32 barrier, u32 count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
__device__ __forceinline__ void barrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_arrive(u32 barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }
// Predicated inside the asm, to keep control flow out of the stretch between a wgmma and its wait.
__device__ __forceinline__ void barrier_arrive_if(u32 barrier, bool yes) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %1, 0;\n@p mbarrier.arrive.shared::cta.b64 _, [%0];\n}\n" ::"r"(barrier), "r"((u32)yes) : "memory");
}
__device__ __forceinline__ void barrier_wait(u32 barrier, u32 parity) {
    asm volatile(
        "{\n.reg .pred done;\nAGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra.uni READY;\nbra.uni AGAIN;\nREADY:\n}\n" ::"r"(barrier), "r"(parity) : "memory");
}
__device__ __forceinline__ void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void named_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
__device__ __forceinline__ void named_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }

constexpr u64 kEvictFirst = 0x12F0000000000000ull, kEvictLast = 0x14F0000000000000ull;

// A tile of a tensor (64 columns, row, panel of 64 columns, head): all panels of some rows of a head.
__device__ __forceinline__ void load_head_tile(u32 target, const TensorMap* map, u32 barrier, int row, int head, u64 hint) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, %5, %6}], [%2], %7;"
        ::"r"(target), "l"((u64)map), "r"(barrier), "r"(0), "r"(row), "r"(0), "r"(head), "l"(hint) : "memory");
}

// A matrix in shared memory in the 128-byte swizzle: rows of 128 bytes, groups of 8 rows 1024 bytes apart. The leading
// offset counts only where the matrix is read transposed: the distance between its panels of 64 columns.
__device__ __forceinline__ u64 matrix_descriptor(u32 address, u32 leading_bytes) {
    return (u64)((address & 0x3FFFF) >> 4) | ((u64)(leading_bytes >> 4) << 16) | ((u64)(1024 >> 4) << 32) | (1ull << 62);
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }

// The compiler does not know that a wgmma writes its registers later: pinned at the fence and after the wait, no use
// of them moves across.
template <int N> __device__ __forceinline__ void pin(float (&r)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(r[i])::"memory");
}
template <int N> __device__ __forceinline__ void pin(u32 (&r)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+r"(r[i])::"memory");
}

template <int N> __device__ __forceinline__ void fewer_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> __device__ __forceinline__ void more_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
