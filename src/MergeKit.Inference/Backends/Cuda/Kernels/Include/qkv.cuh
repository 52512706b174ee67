// The fused projection of queries, keys and values, and where its parts go.
#pragma once
#include "common.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif

constexpr int kThreads = 128;
constexpr int kQ = HEADS * HEAD_DIM, kK = KV_HEADS * HEAD_DIM, kAll = kQ + 2 * kK;

struct Params {
    const Element* qkv;                              // [tokens, kAll]
    const float* bias;                               // may be null
    const float* query_weight; const float* query_bias;
    const float* key_weight; const float* key_bias;
    const float* cos; const float* sin;              // [rows, ROTARY_DIM / 2]
    const int* rope_rows;                            // [tokens]
    const int2* places;                              // [tokens]: sequence, position
    const int* table;
    Element* queries;                                // [tokens, kQ]
    Element* keys; Element* values;                  // [tokens, kK], ragged
    Element* key_pages; Element* value_pages;        // null: nothing is kept
    int table_stride, query_weights, key_weights;
    float query_eps, key_eps;
};

__device__ __forceinline__ int source_of(int i) {    // where element i of [q | k | v] lies in the projection
#if GROUPED
    constexpr int kGroup = HEADS / KV_HEADS, kBlock = (kGroup + 2) * HEAD_DIM;
    if (i < kQ) return i / (kGroup * HEAD_DIM) * kBlock + i % (kGroup * HEAD_DIM);
    if (i < kQ + kK) return (i - kQ) / HEAD_DIM * kBlock + kGroup * HEAD_DIM + (i - kQ) % HEAD_DIM;
    return (i - kQ - kK) / HEAD_DIM * kBlock + (kGroup + 1) * HEAD_DIM + (i - kQ - kK) % HEAD_DIM;
#else
    return i;
#endif
}
