// The plain C interface: chooses the kernels of the best instruction set that the processor has.
//
// Integers are int64_t, real numbers double, arrays pointers to float or double as the name says;
// bf16: rows of values in bfloat16, all else float.
// `level`: 0 plain, 1 AVX2 and FMA, 2 AVX-512; one that the library or the processor lacks is
// lowered. Nothing here allocates memory or keeps any state.
#include "kernels.h"

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

int best_level() {
#ifdef FINREC_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

// what there is for a level: of the kernels by edge, and of those by node
template <class One>
const One& pick(int64_t level, const One* const (&by_level)[3]) {
    const int best = best_level();
    return *by_level[level < best ? level : best];
}

const Table& table(int64_t level) {
#ifdef FINREC_X86
    return pick(level, {&finrec_plain, &finrec_avx2, &finrec_avx512});
#else
    return pick(level, {&finrec_plain, &finrec_plain, &finrec_plain});
#endif
}

const NodeTable& node_table(int64_t level) {
#ifdef FINREC_X86
    return pick(level, {&finrec_nodes_plain, &finrec_nodes_avx2, &finrec_nodes_avx512});
#else
    return pick(level, {&finrec_nodes_plain, &finrec_nodes_plain, &finrec_nodes_plain});
#endif
}

template <class T>
const NodeKernels<T>& node_kernels(int64_t level);
template <>
const NodeKernels<float>& node_kernels<float>(int64_t level) {
    return node_table(level).f32;
}
template <>
const NodeKernels<double>& node_kernels<double>(int64_t level) {
    return node_table(level).f64;
}

template <class R>
auto& kernels(int64_t level);
template <>
auto& kernels<float>(int64_t level) {
    return table(level).f32;
}
template <>
auto& kernels<double>(int64_t level) {
    return table(level).f64;
}
template <>
auto& kernels<Brief>(int64_t level) {
    return table(level).bf16;
}

}  // namespace

// raised whenever a signature below changes
EXPORT int64_t finrec_interface() { return 2; }

EXPORT int64_t finrec_level() { return best_level(); }

EXPORT int64_t finrec_openmp() {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

// Edges (row[e], column[e]) compressed by rows, in their order within each row.
// indptr: room for n_rows + 1; indices: for n_edges.
EXPORT void finrec_compress(int64_t n_rows, int64_t n_edges, const int32_t* row,
                            const int32_t* column, int32_t* indptr, int32_t* indices) {
    for (int64_t i = 0; i <= n_rows; ++i) indptr[i] = 0;
    for (int64_t e = 0; e < n_edges; ++e) ++indptr[row[e] + 1];
    for (int64_t i = 0; i < n_rows; ++i) indptr[i + 1] += indptr[i];
    for (int64_t e = 0; e < n_edges; ++e) indices[indptr[row[e]]++] = column[e];
    for (int64_t i = n_rows; i > 0; --i) indptr[i] = indptr[i - 1];
    indptr[0] = 0;
}

// The same edges compressed by columns, each column's rows in rising order.
EXPORT void finrec_transpose(int64_t n_rows, int64_t n_columns, const int32_t* indptr,
                             const int32_t* indices, int32_t* indptr_out, int32_t* indices_out) {
    const int64_t n_edges = indptr[n_rows];
    for (int64_t c = 0; c <= n_columns; ++c) indptr_out[c] = 0;
    for (int64_t e = 0; e < n_edges; ++e) ++indptr_out[indices[e] + 1];
    for (int64_t c = 0; c < n_columns; ++c) indptr_out[c + 1] += indptr_out[c];
    for (int64_t i = 0; i < n_rows; ++i)
        for (int64_t e = indptr[i]; e < indptr[i + 1]; ++e)
            indices_out[indptr_out[indices[e]]++] = int32_t(i);
    for (int64_t c = n_columns; c > 0; --c) indptr_out[c] = indptr_out[c - 1];
    indptr_out[0] = 0;
}

// indptr and indices by receivers; lean may be null where no gradient is wanted
#define FORWARD(name, T, R)                                                                       \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_dst, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, int64_t heads, int64_t width, \
                     double slope, double dropout, uint64_t seed, const T* score_src,             \
                     const T* score_dst, const R* value, T* out, T* lean, T* top, T* inverse) {   \
        kernels<R>(level).forward(                                                                \
            {n_dst, n_edges, indptr, indices}, options(heads, width, slope, dropout, seed, threads), \
            {score_src, score_dst, value, out, lean, top, inverse});                              \
    }

// indptr and indices by senders; packed: room for n_dst * 4 * heads; brief: where rows are in
// bfloat16 room for n_dst * heads * width of it, else null
#define BACKWARD(name, T, R)                                                                      \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_src, int64_t n_dst,                \
                     int64_t n_edges, const int32_t* indptr, const int32_t* indices,              \
                     int64_t heads, int64_t width, double slope, double dropout, uint64_t seed,   \
                     const T* score_src, const T* score_dst, const R* value, const T* out,        \
                     const T* lean, const T* top, const T* inverse, const T* grad, T* packed,     \
                     R* brief,                                                                    \
                     T* grad_score_src, T* grad_score_dst, R* grad_value) {                       \
        kernels<R>(level).backward(                                                               \
            {n_src, n_edges, indptr, indices}, options(heads, width, slope, dropout, seed, threads), \
            {score_src, score_dst, value, out, lean, top, inverse, grad, packed, brief, grad_score_src,  \
             grad_score_dst, grad_value, n_dst});                                                 \
    }

// out_i = sum over the neighbours j of row i of weight_e x_j; weight may be null
#define SUM(name, T, R)                                                                           \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_rows, int64_t n_edges,             \
                     const int32_t* indptr, const int32_t* indices, int64_t width,                \
                     const T* weight, const R* x, T* out) {                                       \
        kernels<R>(level).sum({n_rows, n_edges, indptr, indices},                                 \
                              {weight, x, out, width, int(threads)});                             \
    }

// weights transposed: gate [2 dim, dim], text_map and graph_map [dim, dim]
#define GATE(name, T)                                                                             \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim, int64_t heads,    \
                     const T* gate, const T* text_map, const T* graph_map, const T* bias,         \
                     const T* attend, const T* text, const T* state, const uint8_t* has_text,     \
                     T* value, T* score) {                                                        \
        node_kernels<T>(level).gate(                                                              \
            {rows, dim, heads, int(threads)},                                                     \
            {gate, text_map, graph_map, bias, attend, nullptr, nullptr, nullptr},                 \
            {text, state, has_text, value, score});                                               \
    }

// the same, then the weights as they are, `_rows`; to_text and to_state may be null
#define GATE_GRAD(name, T)                                                                        \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim, int64_t heads,    \
                     const T* gate, const T* text_map, const T* graph_map, const T* bias,         \
                     const T* attend, const T* gate_rows, const T* text_rows,                     \
                     const T* graph_rows, const T* text, const T* state, const uint8_t* has_text, \
                     T* value, const T* grad_value, const T* grad_score, T* room, T* to_text,     \
                     T* to_state, T* to_weights) {                                                \
        node_kernels<T>(level).gate_grad(                                                         \
            {rows, dim, heads, int(threads)},                                                     \
            {gate, text_map, graph_map, bias, attend, gate_rows, text_rows, graph_rows},          \
            {text, state, has_text, value, nullptr},                                              \
            {grad_value, grad_score, room, to_text, to_state, to_weights});                       \
    }

// outs: by relation the address of [rows, dim]; transform, bias and query null for one relation
#define MIX(name, T)                                                                              \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim,                   \
                     int64_t relations, int64_t relu, const T* own, const T* transform,           \
                     const T* bias, const T* query, const T* const* outs,                         \
                     const uint8_t* present, const T* state, T* mixed) {                          \
        node_kernels<T>(level).mix({rows, dim, relations, relu != 0, int(threads)},               \
                                   {own, transform, bias, query, nullptr, nullptr},               \
                                   {outs, present, state, mixed});                                \
    }

// mixed is read only where there is a ReLU; room: 16 of to_weights and of relations * 48 * dim
#define MIX_GRAD(name, T)                                                                         \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim,                   \
                     int64_t relations, int64_t relu, const T* own, const T* transform,           \
                     const T* bias, const T* query, const T* own_rows, const T* transform_rows,   \
                     const T* const* outs, const uint8_t* present, const T* state, T* mixed,      \
                     const T* grad, T* room, T* const* to_outs, T* to_state, T* to_weights) {     \
        node_kernels<T>(level).mix_grad({rows, dim, relations, relu != 0, int(threads)},          \
                                        {own, transform, bias, query, own_rows, transform_rows},  \
                                        {outs, present, state, mixed},                            \
                                        {grad, room, to_outs, to_state, to_weights});             \
    }

static Options options(int64_t heads, int64_t width, double slope, double dropout, uint64_t seed,
                       int64_t threads) {
    return {heads, width, slope, 1 / (1 - dropout), uint32_t(dropout * 4294967296.0), seed,
            int(threads)};
}

FORWARD(finrec_attend_f32, float, float)
FORWARD(finrec_attend_f64, double, double)
FORWARD(finrec_attend_bf16, float, Brief)
BACKWARD(finrec_attend_grad_f32, float, float)
BACKWARD(finrec_attend_grad_f64, double, double)
BACKWARD(finrec_attend_grad_bf16, float, Brief)
SUM(finrec_sum_f32, float, float)
SUM(finrec_sum_f64, double, double)
SUM(finrec_sum_bf16, float, Brief)
GATE(finrec_gate_f32, float)
GATE(finrec_gate_f64, double)
GATE_GRAD(finrec_gate_grad_f32, float)
GATE_GRAD(finrec_gate_grad_f64, double)
MIX(finrec_mix_f32, float)
MIX(finrec_mix_f64, double)
MIX_GRAD(finrec_mix_grad_f32, float)
MIX_GRAD(finrec_mix_grad_f64, double)
