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

template <class T>
struct Forward {
    const T* score_src;  // [n_src, heads]
    const T* score_dst;  // [n_dst, heads]
    const T* value;      // [n_src, heads, width]
    T* out;              // [n_dst, heads, width]
    T* lean;             // [n_dst, heads, width], or null where no gradient is wanted
    T* top;              // [n_dst, heads]: the maximum of the logits
    T* inverse;          // [n_dst, heads]: 1 / the sum of exp(logit - top)
};

template <class T>
struct Backward {
    const T* score_src;
    const T* score_dst;
    const T* value;
    const T* out;
    const T* lean;
    const T* top;
    const T* inverse;
    const T* grad;      // [n_dst, heads, width]
    T* packed;          // [n_dst, 4, heads]: room for what a sender reads of a receiver
    T* grad_score_src;  // [n_src, heads]
    T* grad_score_dst;  // [n_dst, heads]
    T* grad_value;      // [n_src, heads, width]
    int64_t n_dst;
};

template <class T>
struct Sum {
    const T* weight;  // [n_edges] in the order of the rows, or null: all one
    const T* x;       // [n_columns, width]
    T* out;           // [n_rows, width]
    int64_t width;
    int threads;
};

template <class T>
struct Kernels {
    void (*forward)(const Rows&, const Options&, const Forward<T>&);
    void (*backward)(const Rows&, const Options&, const Backward<T>&);
    void (*sum)(const Rows&, const Sum<T>&);
};

struct Table {
    Kernels<float> f32;
    Kernels<double> f64;
};

extern "C" {
extern const Table finrec_plain;
#ifdef FINREC_X86
extern const Table finrec_avx2;
extern const Table finrec_avx512;
#endif
}
