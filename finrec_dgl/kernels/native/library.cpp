// The plain C interface: chooses the kernels of the best instruction set that the processor has.
//
// Integers are int64_t, real numbers double, arrays pointers to float or double as the name says.
// `level`: 0 plain, 1 AVX2 and FMA, 2 AVX-512; one that the library or the processor lacks is
// lowered. Nothing here allocates memory or keeps any state.
#include "export.h"
#include "kernels.h"
#include "ranking.h"

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

template <class T>
const Kernels<T>& kernels(int64_t level);
template <>
const Kernels<float>& kernels<float>(int64_t level) {
    return table(level).f32;
}
template <>
const Kernels<double>& kernels<double>(int64_t level) {
    return table(level).f64;
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
#define FORWARD(name, T)                                                                          \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_dst, int64_t n_edges,              \
                     const int32_t* indptr, const int32_t* indices, int64_t heads, int64_t width, \
                     double slope, double dropout, uint64_t seed, const T* score_src,             \
                     const T* score_dst, const T* value, T* out, T* lean, T* top, T* inverse) {   \
        kernels<T>(level).forward(                                                                \
            {n_dst, n_edges, indptr, indices}, options(heads, width, slope, dropout, seed, threads), \
            {score_src, score_dst, value, out, lean, top, inverse});                              \
    }

// indptr and indices by senders; packed: room for n_dst * 4 * heads
#define BACKWARD(name, T)                                                                         \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_src, int64_t n_dst,                \
                     int64_t n_edges, const int32_t* indptr, const int32_t* indices,              \
                     int64_t heads, int64_t width, double slope, double dropout, uint64_t seed,   \
                     const T* score_src, const T* score_dst, const T* value, const T* out,        \
                     const T* lean, const T* top, const T* inverse, const T* grad, T* packed,     \
                     T* grad_score_src, T* grad_score_dst, T* grad_value) {                       \
        kernels<T>(level).backward(                                                               \
            {n_src, n_edges, indptr, indices}, options(heads, width, slope, dropout, seed, threads), \
            {score_src, score_dst, value, out, lean, top, inverse, grad, packed, grad_score_src,  \
             grad_score_dst, grad_value, n_dst});                                                 \
    }

// out_i = sum over the neighbours j of row i of weight_e x_j; weight may be null
#define SUM(name, T)                                                                              \
    EXPORT void name(int64_t level, int64_t threads, int64_t n_rows, int64_t n_edges,             \
                     const int32_t* indptr, const int32_t* indices, int64_t width,                \
                     const T* weight, const T* x, T* out) {                                       \
        kernels<T>(level).sum({n_rows, n_edges, indptr, indices},                                 \
                              {weight, x, out, width, int(threads)});                             \
    }

static Options options(int64_t heads, int64_t width, double slope, double dropout, uint64_t seed,
                       int64_t threads) {
    return {heads, width, slope, 1 / (1 - dropout), uint32_t(dropout * 4294967296.0), seed,
            int(threads)};
}

FORWARD(finrec_attend_f32, float)
FORWARD(finrec_attend_f64, double)
BACKWARD(finrec_attend_grad_f32, float)
BACKWARD(finrec_attend_grad_f64, double)
SUM(finrec_sum_f32, float)
SUM(finrec_sum_f64, double)

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
