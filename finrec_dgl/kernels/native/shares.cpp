// Messages as logarithms of shares, and sums over channels: a row is read from memory once in either
// pass, and written once. Compiled once per instruction set.
#include "shares.h"

#include <math.h>

#include "masked.h"

namespace {

constexpr double LEAST = 1e-9;  // messages that add up to less are none

// log(x) of x >= 0 to about one unit in the last place; of less than the smallest normal number
// -inf. x = m 2^e with m in [sqrt(1/2), sqrt(2)); log(m) by a polynomial. NaN stays NaN.
template <int L>
inline typename Lanes<float, L>::V logarithm(typename Lanes<float, L>::V x) {
    typedef typename Lanes<float, L>::V V;
    typedef typename Lanes<float, L>::I I;
    typedef int32_t S __attribute__((vector_size(L * sizeof(int32_t))));
    I bits;
    __builtin_memcpy(&bits, &x, sizeof(V));
    V e = __builtin_convertvector((S)(bits >> 23) - 126, V);
    bits = (bits & 0x7FFFFFu) | 0x3F000000u;
    V m;
    __builtin_memcpy(&m, &bits, sizeof(V));
    const auto low = m < V{} + 0.707106781186547524f;
    e = low ? e - 1.0f : e;
    m = (low ? m + m : m) - 1.0f;
    V p = m * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    const V square = m * m;
    p = p * m * square - e * 2.12194440e-4f - square * 0.5f;
    const V found = m + p + e * 0.693359375f;
    const V none = V{} - INFINITY;
    const V known = x < V{} + 1.17549435e-38f ? none : found;
    return x - x == V{} ? known : x;
}

template <int L>
inline typename Lanes<double, L>::V logarithm(typename Lanes<double, L>::V x) {
    for (int k = 0; k < L; ++k) x[k] = log(x[k]);
    return x;
}

template <class T, int L>
void log_share_rows(const Shared<T>& one, T* total, T* count, T* out) {
    typedef typename Lanes<T, L>::V V;
    const int64_t n = one.columns;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i) {
        const T* messages = one.messages + i * one.stride;
        V sum = V{}, free = V{};
        each<T, L>(messages, one.free + i * n, n, [&](const Some<T, L>& s, int64_t) {
            const V x = s.value < V{} ? V{} : s.value;
            sum += s.mask ? x : V{};
            free += s.mask ? V{} + T(1) : V{};
        });
        total[i] = Lanes<T, L>::total(sum);
        count[i] = Lanes<T, L>::total(free);
        const T scale = count[i] / (total[i] < T(LEAST) ? T(LEAST) : total[i]);
        const T floor = T(one.floor);
        for (int64_t c = 0; c < n; c += L) {
            const V some = get<T, L>(messages, c, n);
            const V x = some < V{} ? V{} : some;
            put<T, L>(out + i * n, c, n, logarithm<L>(x * scale + floor));
        }
    }
}

// With s = x count / total and e = gradient / (s + floor): e count / total less, where it is free,
// the sum of gradient * s / (s + floor) = gradient - floor e, over total.
template <class T, int L>
void log_share_grad_rows(const Shared<T>& one, const T* total, const T* count, const T* gradient,
                         T* to_messages, T* to_floor) {
    typedef typename Lanes<T, L>::V V;
    const int64_t n = one.columns;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i) {
        const T *messages = one.messages + i * one.stride, *from = gradient + i * n;
        T* to = to_messages + i * n;
        const bool none = total[i] < T(LEAST);
        const T least = none ? T(LEAST) : total[i];
        const T scale = count[i] / least, floor = T(one.floor);
        V sum = V{}, whole = V{};
        for (int64_t c = 0; c < n; c += L) {
            const V some = get<T, L>(messages, c, n), g = get<T, L>(from, c, n);
            const V x = some < V{} ? V{} : some;
            const V share = x * scale + floor;
            // past the end of the row the gradient is 0, and a floor of 0 would make it NaN
            const V e = g == V{} ? V{} : g / share;
            sum += e;
            whole += g;
            put<T, L>(to, c, n, e);
        }
        to_floor[i] = Lanes<T, L>::total(sum);
        const T shared = (Lanes<T, L>::total(whole) - floor * to_floor[i]) / least;
        const V through = V{} + (none ? T(0) : shared);
        each<T, L>(messages, one.free + i * n, n, [&](const Some<T, L>& s, int64_t c) {
            const V e = get<T, L>(to, c, n) * scale - (s.mask ? through : V{});
            put<T, L>(to, c, n, s.value < V{} ? V{} : e);
        });
    }
}

template <class T, int L>
void weighted_sum_rows(const Channels<T>& one, const T* weight, T* out) {
    typedef typename Lanes<T, L>::V V;
    const int64_t n = one.columns;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i)
        for (int64_t c = 0; c < n; c += L) {
            V sum = V{};
            for (int64_t k = 0; k < one.channels; ++k) {
                const T* values = one.values + k * one.channel_stride + i * one.row_stride;
                sum += get<T, L>(values, c, n) * weight[i * one.channels + k];
            }
            put<T, L>(out + i * n, c, n, sum);
        }
}

template <class T, int L>
void weighted_sum_grad_rows(const Channels<T>& one, const T* gradient, T* to_weight) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t i = 0; i < one.rows; ++i)
        for (int64_t k = 0; k < one.channels; ++k)
            to_weight[i * one.channels + k] = inner<T, L, T>(
                gradient + i * one.columns,
                one.values + k * one.channel_stride + i * one.row_stride, one.columns);
}

template <class T, int L>
void pair_dot_rows(const Pairs<T>& one, const int64_t* at, T* out) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(one.threads) if (one.threads > 1)
#endif
    for (int64_t b = 0; b < one.rows; ++b)
        for (int64_t j = b * one.k; j < (b + 1) * one.k; ++j)
            out[j] = inner<T, L, T>(one.left + b * one.width, one.right + at[j] * one.width,
                                    one.width);
}

template <class T>
void pair_dots(const Pairs<T>& one, const int64_t* at, T* out) {
    pair_dot_rows<T, FINREC_BYTES / sizeof(T)>(one, at, out);
}

template <class T>
void weighted_sum(const Channels<T>& one, const T* weight, T* out) {
    weighted_sum_rows<T, FINREC_BYTES / sizeof(T)>(one, weight, out);
}

template <class T>
void weighted_sum_grad(const Channels<T>& one, const T* gradient, T* to_weight) {
    weighted_sum_grad_rows<T, FINREC_BYTES / sizeof(T)>(one, gradient, to_weight);
}

template <class T>
void log_shares(const Shared<T>& one, T* total, T* count, T* out) {
    log_share_rows<T, FINREC_BYTES / sizeof(T)>(one, total, count, out);
}

template <class T>
void log_shares_grad(const Shared<T>& one, const T* total, const T* count, const T* gradient,
                     T* to_messages, T* to_floor) {
    log_share_grad_rows<T, FINREC_BYTES / sizeof(T)>(one, total, count, gradient, to_messages,
                                                     to_floor);
}

}  // namespace

#define JOINED(name) name##_shares
#define TABLE(name) JOINED(name)
extern const ShareTable TABLE(FINREC_VARIANT);
const ShareTable TABLE(FINREC_VARIANT) = {
    {log_shares<float>, log_shares_grad<float>, weighted_sum<float>, weighted_sum_grad<float>,
     pair_dots<float>},
    {log_shares<double>, log_shares_grad<double>, weighted_sum<double>,
     weighted_sum_grad<double>, pair_dots<double>},
};
