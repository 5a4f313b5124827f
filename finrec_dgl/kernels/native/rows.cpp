// Adam's step of some rows of a table, in place: each row and its moments are read once.
#include <math.h>
#include <stdint.h>

#include "export.h"

namespace {

constexpr int64_t AHEAD = 4;  // rows between the one asked for and the one moved
constexpr int64_t LINE = 16;  // floats in a cache line

void ask_for(const float* row, int64_t width) {
    for (int64_t k = 0; k < width; k += LINE) __builtin_prefetch(row + k, 1);
}

}  // namespace

// rows: n distinct ones of the tables [., width]; gradient: [n, width].
// mean += (gradient - mean) (1 - first); square = square second + (1 - second) gradient^2;
// table -= step mean / (sqrt(square / correction) + eps)
EXPORT void finrec_move_rows(int64_t threads, int64_t n, int64_t width, const int64_t* rows,
                             const float* gradient, double first, double second, double correction,
                             double eps, double step, float* table, float* mean, float* square) {
    const float take = float(1 - first), keep = float(second), add = float(1 - second);
    const float divide = float(correction), little = float(eps), far = float(step);
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(int(threads)) if (threads > 1)
#endif
    for (int64_t i = 0; i < n; ++i) {
        if (i + AHEAD < n) {
            const int64_t next = rows[i + AHEAD] * width;
            ask_for(table + next, width);
            ask_for(mean + next, width);
            ask_for(square + next, width);
        }
        const float* g = gradient + i * width;
        float *w = table + rows[i] * width, *m = mean + rows[i] * width;
        float* v = square + rows[i] * width;
#ifdef _OPENMP
#pragma omp simd
#endif
        for (int64_t k = 0; k < width; ++k) {
            m[k] += (g[k] - m[k]) * take;
            v[k] = v[k] * keep + g[k] * g[k] * add;
            w[k] -= far * (m[k] / (sqrtf(v[k] / divide) + little));
        }
    }
}
