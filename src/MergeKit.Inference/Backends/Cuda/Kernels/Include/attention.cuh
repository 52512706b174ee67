// What the attention kernels share: the sequences of a ragged batch, and where keys and values lie.
#pragma once
#include "common.cuh"

// Query i of a sequence stands at position keys - queries + i; key j at position j.
struct Sequence { int query_start, queries, key_start, keys; };   // starts: rows of the ragged buffers

// Keys or values of one kv head: rows of a ragged [token][kv head][D] buffer, or of pages [page][kv head][64][D].
template <typename Element> struct KvRows {
    const Element* base;
    const int* pages;            // null: ragged
    i64 stride;                  // elements from a row to the next (ragged), from a page to the next (paged)
    int width;

    __device__ __forceinline__ KvRows(const Element* data, const int* table, int table_stride, int sequence, int key_start, int kv_heads, int kv_head, int d)
        : pages(table ? table + (i64)sequence * table_stride : nullptr), width(d) {
        base = table ? data + (i64)kv_head * 64 * d : data + ((i64)key_start * kv_heads + kv_head) * d;
        stride = (i64)kv_heads * d * (table ? 64 : 1);
    }
    __device__ __forceinline__ const Element* row(int j) const { return pages ? base + pages[j >> 6] * stride + (j & 63) * width : base + j * stride; }
};
