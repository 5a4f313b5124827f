// Deals the rows of a relation out to threads.
#pragma once

#include "kernels.h"

// all in here is local to each object: the linker must not merge what other instruction sets made
namespace {

constexpr int64_t TASK = 4096;  // edges, and rows at four edges each, that a thread takes at once

// Rows are dealt out in tasks of about as many edges each, whatever the degrees.
template <class F>
inline void each_row(const Rows& rows, int threads, const F& body) {
    const int64_t total = rows.n_edges + 4 * rows.n_rows;
    const int64_t tasks = total / TASK + 1;
    auto first_of = [&](int64_t task) {
        const int64_t wanted = total / tasks * task + total % tasks * task / tasks;
        int64_t low = 0, high = rows.n_rows;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (rows.indptr[middle] + 4 * middle < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
#endif
    for (int64_t task = 0; task < tasks; ++task) {
        const int64_t end = task + 1 < tasks ? first_of(task + 1) : rows.n_rows;
        for (int64_t i = first_of(task); i < end; ++i) body(i);
    }
}

template <class R>
inline void prefetch_row(const R* row, int64_t size) {
    const char* at = reinterpret_cast<const char*>(row);
    for (int64_t byte = 0; byte < size * int64_t(sizeof(R)); byte += 64)
        __builtin_prefetch(at + byte);
}

}  // namespace
