// The plain C interface: chooses the kernels of the best instruction set that the processor has.
//
// Integers are int64_t, real numbers double, arrays pointers to float or double as the name says;
// bf16: rows of values in bfloat16, all else float.
// `level`: 0 plain, 1 AVX2 and FMA, 2 AVX-512; one that the library or the processor lacks is
// lowered. Nothing here allocates memory or keeps any state.
#ifdef FINREC_X86
#include <cpuid.h>
#endif

#include "bert.h"
#include "export.h"
#include "int8.h"
#include "kernels.h"
#include "losses.h"
#include "messages.h"
#include "ranking.h"
#include "shares.h"

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

// The table of what the processor has, at most of `level`.
template <class Any>
const Any& table_of(int64_t level, const Any& plain, const Any* avx2, const Any* avx512) {
    const int best = best_level();
    const int64_t chosen = level < best ? level : best;
    if (chosen >= 2) return *avx512;
    if (chosen == 1) return *avx2;
    return plain;
}

#ifdef FINREC_X86
#define TABLES(name) finrec_plain##name, &finrec_avx2##name, &finrec_avx512##name
#else
#define TABLES(name) finrec_plain##name, nullptr, nullptr
#endif

const Table& table(int64_t level) { return table_of<Table>(level, TABLES()); }
const RankingTable& ranking_table(int64_t level) {
    return table_of<RankingTable>(level, TABLES(_ranking));
}

const LossTable& loss_table(int64_t level) { return table_of<LossTable>(level, TABLES(_losses)); }

const ShareTable& share_table(int64_t level) {
    return table_of<ShareTable>(level, TABLES(_shares));
}

const MessageTable& message_table(int64_t level) {
    return table_of<MessageTable>(level, TABLES(_messages));
}

const NodeTable& node_table(int64_t level) { return table_of<NodeTable>(level, TABLES(_nodes)); }

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

template <class T>
const MessageKernels<T>& message_kernels(int64_t level);
template <>
const MessageKernels<float>& message_kernels<float>(int64_t level) {
    return message_table(level).f32;
}
template <>
const MessageKernels<double>& message_kernels<double>(int64_t level) {
    return message_table(level).f64;
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

template <class T>
const Ranking<T>& ranking(int64_t level);
template <>
const Ranking<float>& ranking<float>(int64_t level) {
    return ranking_table(level).f32;
}
template <>
const Ranking<double>& ranking<double>(int64_t level) {
    return ranking_table(level).f64;
}

}  // namespace

// raised whenever a signature below changes
EXPORT int64_t finrec_interface() { return 14; }

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

// Rows less the edges that stand at gone[0 .. n_gone), distinct and rising.
EXPORT void finrec_without(int64_t n_rows, int64_t n_gone, const int32_t* indptr,
                           const int32_t* indices, const int32_t* gone, int32_t* indptr_out,
                           int32_t* indices_out) {
    for (int64_t i = 0, before = 0; i <= n_rows; ++i) {
        while (before < n_gone && gone[before] < indptr[i]) ++before;
        indptr_out[i] = indptr[i] - int32_t(before);
    }
    int64_t from = 0;
    for (int64_t g = 0; g <= n_gone; ++g) {
        const int64_t to = g < n_gone ? gone[g] : indptr[n_rows];
        __builtin_memcpy(indices_out, indices + from, uint64_t(to - from) * 4);
        indices_out += to - from;
        from = to + 1;
    }
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

// Coefficients by edge. `order`: which edge stands at each place of the rows of receivers;
// score_edge may be null
#define EDGE_SOFTMAX(name, T)                                                                     \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_dst, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, const int32_t* order,         \
                     int64_t heads, double slope, const T* score_src, const T* score_dst,         \
                     const T* score_edge, T* alpha) {                                             \
        message_kernels<T>(level).softmax({{n_dst, n_edges, indptr, indices}, order},             \
                                          {heads, slope, int(threads)},                           \
                                          {score_src, score_dst, score_edge, alpha});             \
    }

// the same, then the rows of senders without their indices; `grad`: of alpha
#define EDGE_SOFTMAX_GRAD(name, T)                                                                \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_dst, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, const int32_t* order,         \
                     int64_t n_src, const int32_t* sent_indptr, const int32_t* sent_order,        \
                     int64_t heads, double slope, const T* score_src, const T* score_dst,         \
                     const T* score_edge, T* alpha, const T* grad, T* to_src, T* to_dst,          \
                     T* to_edge) {                                                                \
        message_kernels<T>(level).softmax_grad(                                                   \
            {{n_dst, n_edges, indptr, indices}, order},                                           \
            {{n_src, n_edges, sent_indptr, nullptr}, sent_order},                                 \
            {heads, slope, int(threads)}, {score_src, score_dst, score_edge, alpha},              \
            {grad, to_src, to_dst, to_edge});                                                     \
    }

// by receivers; text and fade may be null; logit, feat and weight are null without a gate of edges
#define MESSAGES(name, T)                                                                         \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_dst, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, const int32_t* order,         \
                     int64_t heads, int64_t width, int64_t features, const T* graph,              \
                     const T* text, const T* alpha, const T* fade, const T* logit,                \
                     const T* feat, const T* weight, T* out) {                                    \
        message_kernels<T>(level).sum({{n_dst, n_edges, indptr, indices}, order},                 \
                                      {heads, width, features, int(threads)},                     \
                                      {graph, text, alpha, fade, logit, feat, weight}, out);      \
    }

// by senders; room: 32 of weight; gradients of what is null are null, and to_fade and to_feat may be
#define MESSAGES_GRAD(name, T)                                                                    \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_src, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, const int32_t* order,         \
                     int64_t heads, int64_t width, int64_t features, const T* graph,              \
                     const T* text, const T* alpha, const T* fade, const T* logit,                \
                     const T* feat, const T* weight, const T* grad, T* room, T* to_graph,         \
                     T* to_text, T* to_alpha, T* to_fade, T* to_logit, T* to_feat,                \
                     T* to_weight) {                                                              \
        message_kernels<T>(level).sum_grad(                                                       \
            {{n_src, n_edges, indptr, indices}, order}, {heads, width, features, int(threads)},   \
            {graph, text, alpha, fade, logit, feat, weight},                                      \
            {grad, room, to_graph, to_text, to_alpha, to_fade, to_logit, to_feat, to_weight});    \
    }

// out [size] = x with a share of it zero
#define DROP(name, T)                                                                             \
    EXPORT void name(int64_t level, int64_t threads, int64_t size, double dropout, uint64_t seed, \
                     const T* x, T* out) {                                                        \
        const Options o = options(1, 1, 0, dropout, seed, threads);                               \
        node_kernels<T>(level).drop({size, o.dropped, o.kept_scale, seed, int(threads)}, x, out); \
    }

// weights transposed: gate [2 dim, dim], text_map and graph_map [dim, dim], own [dim, owns * heads
// filled up to whole vectors of 64 bytes]; owned: by relation received the address of
// [received, heads]
#define GATE(name, T)                                                                             \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim, int64_t heads,    \
                     int64_t received, int64_t owns, const T* gate, const T* text_map,            \
                     const T* graph_map, const T* bias, const T* attend, const T* own,            \
                     const T* text, const T* state, const uint8_t* has_text, T* value, T* score,  \
                     T* const* owned) {                                                           \
        node_kernels<T>(level).gate({rows, dim, heads, received, owns, int(threads)},             \
                                    {gate, text_map, graph_map, bias, attend, own, nullptr,       \
                                     nullptr, nullptr, nullptr},                                  \
                                    {text, state, has_text, value, score, owned});                \
    }

// the same, then the weights as they are, `_rows`; to_text and to_state may be null
#define GATE_GRAD(name, T)                                                                        \
    EXPORT void name(int64_t level, int64_t threads, int64_t rows, int64_t dim, int64_t heads,    \
                     int64_t received, int64_t owns, const T* gate, const T* text_map,            \
                     const T* graph_map, const T* bias, const T* attend, const T* gate_rows,      \
                     const T* text_rows, const T* graph_rows, const T* own_rows, const T* text,   \
                     const T* state, const uint8_t* has_text, T* value, const T* grad_value,      \
                     const T* grad_score, const T* const* grad_owned, int64_t add, T* room,       \
                     T* to_text, T* to_state, T* to_weights) {                                    \
        node_kernels<T>(level).gate_grad(                                                         \
            {rows, dim, heads, received, owns, int(threads)},                                     \
            {gate, text_map, graph_map, bias, attend, nullptr, gate_rows, text_rows, graph_rows,  \
             own_rows},                                                                           \
            {text, state, has_text, value, nullptr, nullptr},                                     \
            {grad_value, grad_score, grad_owned, add != 0, room, to_text, to_state, to_weights}); \
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

#define MESSAGE_KERNELS(kind, T)                           \
    EDGE_SOFTMAX(finrec_edge_softmax_##kind, T)            \
    EDGE_SOFTMAX_GRAD(finrec_edge_softmax_grad_##kind, T)  \
    MESSAGES(finrec_messages_##kind, T)                    \
    MESSAGES_GRAD(finrec_messages_grad_##kind, T)
MESSAGE_KERNELS(f32, float)
MESSAGE_KERNELS(f64, double)

// The arguments of every kernel of ranking, as `Scores` has them: either `given` is null and
// `left`, `panels` and `bias` are there, or the other way
#define SCORES(T)                                                                                 \
    int64_t level, int64_t threads, int64_t n_rows, int64_t n_columns, const T *given,            \
        int64_t stride, const int32_t *columns, uint8_t *finite, int64_t width, const T *left,    \
        const T *panels, const T *bias, const int64_t *held_at, const int32_t *held
#define GATHERED                                                                                \
    {n_rows, n_columns, given, stride,  columns, finite,       width,                           \
     left,   panels,    bias,  held_at, held,    int(threads)}

#define RANKING(kind, T)                                                                          \
    EXPORT void finrec_above_##kind(SCORES(T), const int64_t* at, int64_t n_targets,              \
                                    const T* score, int64_t parts, const int32_t* first,          \
                                    const int32_t* border, int64_t* above) {                      \
        ranking<T>(level).above(GATHERED, {at, n_targets, score, parts, first, border, above});   \
    }                                                                                             \
    EXPORT void finrec_best_##kind(SCORES(T), int64_t k, T* score, int32_t* column,               \
                                   int64_t* found) {                                              \
        ranking<T>(level).best(GATHERED, {k, score, column, found});                              \
    }                                                                                             \
    EXPORT void finrec_picked_##kind(SCORES(T), const int64_t* at, const int32_t* column,         \
                                     T* score) {                                                  \
        ranking<T>(level).picked(GATHERED, {at, column, score});                                  \
    }

RANKING(f32, float)
RANKING(f64, double)

DROP(finrec_drop_f32, float)
DROP(finrec_drop_f64, double)
GATE(finrec_gate_f32, float)
GATE(finrec_gate_f64, double)
GATE_GRAD(finrec_gate_grad_f32, float)
GATE_GRAD(finrec_gate_grad_f64, double)
MIX(finrec_mix_f32, float)
MIX(finrec_mix_f64, double)
MIX_GRAD(finrec_mix_grad_f32, float)
MIX_GRAD(finrec_mix_grad_f64, double)

// scores [rows, columns] of which those count that `allowed` says; total [rows]
#define LOSSES(kind, T)                                                                           \
    EXPORT void finrec_log_sums_##kind(int64_t level, int64_t threads, int64_t rows,              \
                                       int64_t columns, const T* scores, const uint8_t* allowed,  \
                                       T* total) {                                                \
        loss_table(level).kind.log_sums({rows, columns, scores, allowed, int(threads)}, total);   \
    }                                                                                             \
    EXPORT void finrec_log_sums_grad_##kind(int64_t level, int64_t threads, int64_t rows,         \
                                            int64_t columns, const T* scores,                     \
                                            const uint8_t* allowed, const T* total,               \
                                            const T* gradient, T* to_scores) {                    \
        loss_table(level).kind.log_sums_grad({rows, columns, scores, allowed, int(threads)},      \
                                             total, gradient, to_scores);                         \
    }

LOSSES(f32, float)
LOSSES(f64, double)

// messages [rows, columns], `stride` from row to row, of which those add up that are free; and
// channels [channels, rows, columns], each with a weight for each row; and rows of two tables
#define SHARES(kind, T)                                                                           \
    EXPORT void finrec_log_shares_##kind(int64_t level, int64_t threads, int64_t rows,            \
                                         int64_t columns, int64_t stride, const T* messages,      \
                                         const uint8_t* free, double floor, T* total, T* count,   \
                                         T* out) {                                                \
        share_table(level).kind.log_shares(                                                       \
            {rows, columns, stride, messages, free, floor, int(threads)}, total, count, out);     \
    }                                                                                             \
    EXPORT void finrec_log_shares_grad_##kind(                                                    \
        int64_t level, int64_t threads, int64_t rows, int64_t columns, int64_t stride,            \
        const T* messages, const uint8_t* free, double floor, const T* total, const T* count,     \
        const T* gradient, T* to_messages, T* to_floor) {                                         \
        share_table(level).kind.log_shares_grad(                                                  \
            {rows, columns, stride, messages, free, floor, int(threads)}, total, count, gradient, \
            to_messages, to_floor);                                                               \
    }                                                                                             \
    EXPORT void finrec_weighted_sum_##kind(int64_t level, int64_t threads, int64_t channels,      \
                                           int64_t rows, int64_t columns, int64_t channel_stride, \
                                           int64_t row_stride, const T* values, const T* weight,  \
                                           T* out) {                                              \
        share_table(level).kind.weighted_sum(                                                     \
            {channels, rows, columns, channel_stride, row_stride, values, int(threads)}, weight,  \
            out);                                                                                 \
    }                                                                                             \
    EXPORT void finrec_weighted_sum_grad_##kind(                                                  \
        int64_t level, int64_t threads, int64_t channels, int64_t rows, int64_t columns,          \
        int64_t channel_stride, int64_t row_stride, const T* values, const T* gradient,           \
        T* to_weight) {                                                                           \
        share_table(level).kind.weighted_sum_grad(                                                \
            {channels, rows, columns, channel_stride, row_stride, values, int(threads)},          \
            gradient, to_weight);                                                                 \
    }                                                                                             \
    EXPORT void finrec_pair_dots_##kind(int64_t level, int64_t threads, int64_t rows, int64_t k,  \
                                        int64_t width, const T* left, const T* right,             \
                                        const int64_t* at, T* out) {                              \
        share_table(level).kind.pair_dots({rows, k, width, left, right, int(threads)}, at, out);  \
    }

SHARES(f32, float)
SHARES(f64, double)

// whether the functions below may be called: AVX-512 with VNNI
EXPORT int64_t finrec_int8() {
#ifdef FINREC_X86
    return best_level() >= 2 && __builtin_cpu_supports("avx512vnni");
#else
    return 0;
#endif
}

// what a thread needs of `room`, in bytes
EXPORT int64_t finrec_int8_room(int64_t inputs) {
#ifdef FINREC_X86
    return int8_room(inputs);
#else
    (void)inputs;
    return 0;
#endif
}

// q [outputs, inputs] to packed [outputs / 64 rounded up, inputs / 4 rounded up, 64, 4]
EXPORT void finrec_int8_pack(int64_t outputs, int64_t inputs, const int8_t* q, int8_t* packed) {
#ifdef FINREC_X86
    int8_pack(outputs, inputs, q, packed);
#else
    (void)outputs, (void)inputs, (void)q, (void)packed;
#endif
}

// y [rows, outputs] = x [rows, inputs] times the packed weights, plus bias, which may be null
EXPORT void finrec_int8_linear(int64_t threads, int64_t outputs, int64_t inputs, int64_t rows,
                               const int8_t* packed, const float* scale, const float* lean,
                               const float* bias, const float* x, float* y, uint8_t* room) {
#ifdef FINREC_X86
    int8_linear({outputs, inputs, packed, scale, lean, bias}, x, rows, y, room, int(threads));
#else
    (void)threads, (void)outputs, (void)inputs, (void)rows, (void)packed, (void)scale, (void)lean;
    (void)bias, (void)x, (void)y, (void)room;
#endif
}

// the same with bfloat16
EXPORT int64_t finrec_bf16() {
#ifdef FINREC_X86
    unsigned a, b, c, d;  // asked by itself: older compilers do not know its name
    return finrec_int8() && bert_has_halves() && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a >> 5 & 1);
#else
    return 0;
#endif
}

#ifdef FINREC_X86
static Bert bert_of(int64_t precision, int64_t hidden, int64_t wide, int64_t heads, int64_t layers,
                    double epsilon, const float* place, const float* gain, const float* bias) {
    return {hidden, wide,  heads,        layers, float(epsilon), Precision(precision),
            place,  {gain, bias}};
}
#endif

// what a thread needs of `room`, in bytes; precision: 0 float32, 1 bfloat16, 2 int8, 3 mixed
EXPORT int64_t finrec_bert_room(int64_t precision, int64_t hidden, int64_t wide, int64_t longest) {
#ifdef FINREC_X86
    return bert_room(bert_of(precision, hidden, wide, 1, 0, 0, nullptr, nullptr, nullptr), longest);
#else
    (void)precision, (void)hidden, (void)wide, (void)longest;
    return 0;
#endif
}

// x [tokens, hidden]: as bert_forward of bert.h; it needs what finrec_int8 tells of, or finrec_bf16
EXPORT void finrec_bert(int64_t threads, int64_t precision, int64_t hidden, int64_t wide,
                        int64_t heads, int64_t layers, double epsilon, const float* place,
                        const float* gain, const float* bias, const void* const* addresses,
                        int64_t texts, int64_t longest, const int64_t* starts, float* x,
                        uint8_t* room) {
#ifdef FINREC_X86
    bert_forward(bert_of(precision, hidden, wide, heads, layers, epsilon, place, gain, bias),
                 addresses, x, starts, texts, longest, room, int(threads));
#else
    (void)threads, (void)precision, (void)hidden, (void)wide, (void)heads, (void)layers;
    (void)epsilon, (void)place, (void)gain, (void)bias, (void)addresses, (void)texts;
    (void)longest, (void)starts, (void)x, (void)room;
#endif
}
