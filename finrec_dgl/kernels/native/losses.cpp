// The sum over negatives of a softmax: each row of scores is read once in either pass, its second
// reading comes from the nearest caches. Compiled once per instruction set.
#include "losses.h"

#include <math.h>

#include "masked.h"

namespace {

template <class T, int L>
void log_sum_rows(const Compared<T>& one, T* total) {
    typedef typename Lanes<T, L>::V V;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i) {
        const T* scores = one.scores + i * one.columns;
        const uint8_t* allowed = one.allowed + i * one.columns;
        const V none = Lanes<T, L>::all(-T(INFINITY));
        V most = none, sum = V{};
        each<T, L>(scores, allowed, one.columns, [&](const Some<T, L>& s, int64_t) {
            const V counted = s.mask ? s.value : none;
            most = counted > most ? counted : most;
        });
        T top = most[0];
        for (int k = 1; k < L; ++k) top = most[k] > top ? most[k] : top;
        const V from = Lanes<T, L>::all(top);
        each<T, L>(scores, allowed, one.columns, [&](const Some<T, L>& s, int64_t) {
            const V share = exponential<L>(s.value - from);
            sum += s.mask ? share : V{};
        });
        total[i] = top + T(log(Lanes<T, L>::total(sum)));
    }
}

template <class T, int L>
void log_sum_grad_rows(const Compared<T>& one, const T* total, const T* gradient, T* to_scores) {
    typedef typename Lanes<T, L>::V V;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i) {
        const V from = Lanes<T, L>::all(total[i]), factor = Lanes<T, L>::all(gradient[i]);
        T* to = to_scores + i * one.columns;
        each<T, L>(one.scores + i * one.columns, one.allowed + i * one.columns, one.columns,
                   [&](const Some<T, L>& s, int64_t c) {
                       const V share = exponential<L>(s.value - from) * factor;
                       const V counted = s.mask ? share : V{};
                       put<T, L>(to, c, one.columns, counted);
                   });
    }
}

template <class T>
void log_sums(const Compared<T>& one, T* total) {
    log_sum_rows<T, FINREC_BYTES / sizeof(T)>(one, total);
}

template <class T>
void log_sums_grad(const Compared<T>& one, const T* total, const T* gradient, T* to_scores) {
    log_sum_grad_rows<T, FINREC_BYTES / sizeof(T)>(one, total, gradient, to_scores);
}

}  // namespace

#define JOINED(name) name##_losses
#define TABLE(name) JOINED(name)
extern const LossTable TABLE(FINREC_VARIANT);
const LossTable TABLE(FINREC_VARIANT) = {
    {log_sums<float>, log_sums_grad<float>},
    {log_sums<double>, log_sums_grad<double>},
};
