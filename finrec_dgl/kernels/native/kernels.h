// The tables of kernels: one for each instruction set that the library was compiled for.
#pragma once

#include <stdint.h>

// One relation, compressed by rows: the neighbours of row i are indices[indptr[i] .. indptr[i + 1]).
// Rows are the receivers in the forward pass and the senders in the backward pass.
struct Rows {
    int64_t n_rows;
    int64_t n_edges;
    const int32_t* indptr;
    const int32_t* indices;
};

// What every kernel of attention is told. A coefficient is dropped where its draw is below
// `dropped` (a share of 2^32); `seed` is that of the draws.
struct Options {
    int64_t heads;
    int64_t width;
    double slope;
    double kept_scale;  // 1 / (1 - dropout)
    uint32_t dropped;
    uint64_t seed;
    int threads;
};

// A number in bfloat16.
struct Brief {
    uint16_t bits;
};

// T: what is computed in; R: what rows are held in, T or Brief.
template <class T, class R>
struct Forward {
    const T* score_src;  // [n_src, heads]
    const T* score_dst;  // [n_dst, heads]
    const R* value;      // [n_src, heads, width]
    T* out;              // [n_dst, heads, width]
    T* lean;             // [n_dst, heads, width], or null where no gradient is wanted
    T* top;              // [n_dst, heads]: the maximum of the logits
    T* inverse;          // [n_dst, heads]: 1 / the sum of exp(logit - top)
};

template <class T, class R>
struct Backward {
    const T* score_src;
    const T* score_dst;
    const R* value;
    const T* out;
    const T* lean;
    const T* top;
    const T* inverse;
    const T* grad;      // [n_dst, heads, width]
    T* packed;          // [n_dst, 4, heads]: room for what a sender reads of a receiver
    R* brief;           // [n_dst, heads, width]: room for the gradient in bfloat16, else null
    T* grad_score_src;  // [n_src, heads]
    T* grad_score_dst;  // [n_dst, heads]
    R* grad_value;      // [n_src, heads, width]
    int64_t n_dst;
};

template <class T, class R>
struct Sum {
    const T* weight;  // [n_edges] in the order of the rows, or null: all one
    const R* x;       // [n_columns, width]
    T* out;           // [n_rows, width]
    int64_t width;
    int threads;
};

template <class T, class R>
struct Kernels {
    void (*forward)(const Rows&, const Options&, const Forward<T, R>&);
    void (*backward)(const Rows&, const Options&, const Backward<T, R>&);
    void (*sum)(const Rows&, const Sum<T, R>&);
};

struct Table {
    Kernels<float, float> f32;
    Kernels<double, double> f64;
    Kernels<float, Brief> bf16;
};

// Parts that rows of nodes are dealt out in; gradients of weights are summed by part.
constexpr int64_t NODE_PARTS = 16;

// Nodes of one type that send in one relation, and of which the first `received` receive in
// `owns` relations.
struct GateShape {
    int64_t rows, dim, heads, received, owns;
    int threads;
};

// Weights as PyTorch holds them, [out, in], end in `_rows`; the others are transposed.
template <class T>
struct GateWeights {
    const T* gate;    // [2 dim, dim]: of text, then of state
    const T* text;    // [dim, dim]
    const T* graph;   // [dim, dim]
    const T* bias;    // [dim]
    const T* attend;  // [dim]: by head the vector that gives a score
    const T* own;     // [dim, owns * heads, filled up with zeros to whole vectors of 64 bytes]
    const T* gate_rows;   // [dim, 2 dim]; in the backward pass, as the next three
    const T* text_rows;   // [dim, dim]
    const T* graph_rows;  // [dim, dim]
    const T* own_rows;    // [owns * heads, dim]
};

template <class T>
struct Gate {
    const T* text;            // [rows, dim]
    const T* state;           // [rows, dim]
    const uint8_t* has_text;  // [rows]
    T* value;                 // [rows, dim]
    T* score;                 // [rows, heads]; not read in the backward pass
    T* const* own;            // by relation received [received, heads]; not read there either
};

template <class T>
struct GateGrad {
    const T* value;  // [rows, dim]
    const T* score;  // [rows, heads]
    const T* const* own;  // by relation received [received, heads]
    bool add;        // to what to_text and to_state hold
    T* room;         // [NODE_PARTS, size of to_weights]
    T* to_text;      // [rows, dim], or null where it is not wanted
    T* to_state;     // [rows, dim], or null
    T* to_weights;   // gate [dim, 2 dim], text, graph [dim, dim], bias, attend [dim] and own
                     // [owns * heads, dim], one by one
};

struct MixShape {
    int64_t rows, dim, relations;
    bool relu;
    int threads;
};

template <class T>
struct MixWeights {
    const T* own;             // [dim, dim], transposed
    const T* transform;       // [dim, dim], transposed; null for one relation, as the next two
    const T* bias;            // [relations, dim]
    const T* query;           // [dim]
    const T* own_rows;        // in the backward pass, as the next one
    const T* transform_rows;  // [dim, dim]
};

template <class T>
struct Mix {
    const T* const* outs;    // by relation [rows, dim]
    const uint8_t* present;  // [relations, rows]
    const T* state;          // [rows, dim]
    T* mixed;                // [rows, dim]
};

template <class T>
struct MixGrad {
    const T* mixed;  // [rows, dim]
    T* room;         // [NODE_PARTS, size of to_weights + relations * 48 * dim]
    T* const* outs;  // by relation [rows, dim]
    T* state;        // [rows, dim]
    T* to_weights;   // own, transform [dim, dim], bias [relations, dim], query [dim], one by one
};

// A number is dropped where its draw is below `dropped` (a share of 2^32).
struct Dropout {
    int64_t size;
    uint32_t dropped;
    double kept_scale;  // 1 / (1 - dropout)
    uint64_t seed;
    int threads;
};

template <class T>
struct NodeKernels {
    void (*drop)(const Dropout&, const T* x, T* out);
    void (*gate)(const GateShape&, const GateWeights<T>&, const Gate<T>&);
    void (*gate_grad)(const GateShape&, const GateWeights<T>&, const Gate<T>&, const GateGrad<T>&);
    void (*mix)(const MixShape&, const MixWeights<T>&, const Mix<T>&);
    void (*mix_grad)(const MixShape&, const MixWeights<T>&, const Mix<T>&, const MixGrad<T>&);
};

struct NodeTable {
    NodeKernels<float> f32;
    NodeKernels<double> f64;
};

extern "C" {
extern const Table finrec_plain;
extern const NodeTable finrec_plain_nodes;
#ifdef FINREC_X86
extern const Table finrec_avx2;
extern const Table finrec_avx512;
extern const NodeTable finrec_avx2_nodes;
extern const NodeTable finrec_avx512_nodes;
#endif
}
