// hidden[t] = scale * tokens[ids[t]] (+ positions[rows[t]]) (+ types[kinds[t]]), float32 out.
// -D: ELEMENT_BF16 (type of the tables)
#include "common.cuh"

#if ELEMENT_BF16
typedef bf16 Element;
#else
typedef float Element;
#endif

struct Params {
    const Element* tokens;
    const Element* positions;    // may be null
    const Element* types;        // may be null
    const int* ids;
    const int* position_rows;
    const int* kinds;            // may be null: all 0
    float* hidden;
    int width;
    float scale;
};

extern "C" __global__ void __launch_bounds__(256) embed(const __grid_constant__ Params p) {
    const i64 t = blockIdx.x, w = p.width;
    const Element* token = p.tokens + max(p.ids[t], 0) * w;    // -1: no id could be drawn, and nobody will look at the result
    const Element* position = p.positions ? p.positions + p.position_rows[t] * w : nullptr;
    const Element* kind = p.types ? p.types + (p.kinds ? p.kinds[t] : 0) * w : nullptr;
    for (int c = threadIdx.x; c < p.width; c += 256) {
        float x = to_float(token[c]) * p.scale;
        if (position) x += to_float(position[c]);
        if (kind) x += to_float(kind[c]);
        p.hidden[t * w + c] = x;
    }
}
