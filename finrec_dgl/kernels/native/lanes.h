// Vectors of as many lanes as the instruction set has, and exp of them.
#pragma once

#include <stdint.h>

#ifndef FINREC_VARIANT
#define FINREC_VARIANT finrec_plain
#define FINREC_BYTES 16
#endif

// all in here is local to each object: the linker must not merge what other instruction sets made
namespace {

template <class T>
struct Bits;
template <>
struct Bits<float> {
    typedef uint32_t type;
};
template <>
struct Bits<double> {
    typedef uint64_t type;
};

template <class T, int L>
struct Lanes {
    typedef T V __attribute__((vector_size(L * sizeof(T))));
    typedef typename Bits<T>::type I __attribute__((vector_size(L * sizeof(T))));

    static inline V load(const T* from) {
        V v;
        __builtin_memcpy(&v, from, sizeof(V));
        return v;
    }
    static inline void store(T* to, V v) { __builtin_memcpy(to, &v, sizeof(V)); }
    static inline V all(T one) { return V{} + one; }
    static inline T total(V v) {
        T sum = 0;
        for (int l = 0; l < L; ++l) sum += v[l];
        return sum;
    }
};

// exp(x) for x <= 0 to about one unit in the last place; below the smallest normal number that one.
// x = n log 2 + r; exp(r) by a polynomial, 2^n through the exponent's bits. NaN stays NaN.
template <int L>
inline typename Lanes<float, L>::V exponential(typename Lanes<float, L>::V x) {
    typedef typename Lanes<float, L>::V V;
    typedef typename Lanes<float, L>::I I;
    const V least = V{} - 87.0f;
    x = x < least ? least : x;
    const float magic = 12582912.0f;  // 1.5 * 2^23: rounds, and leaves n in the low bits
    V n = x * 1.44269504088896341f + magic;
    I bits;
    __builtin_memcpy(&bits, &n, sizeof(V));
    n -= magic;
    V r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    bits = (bits << 23) + 0x3F800000u;
    V scale;
    __builtin_memcpy(&scale, &bits, sizeof(V));
    return p * scale;
}

template <int L>
inline typename Lanes<double, L>::V exponential(typename Lanes<double, L>::V x) {
    typedef typename Lanes<double, L>::V V;
    typedef typename Lanes<double, L>::I I;
    const V least = V{} - 708.0;
    x = x < least ? least : x;
    const double magic = 6755399441055744.0;  // 1.5 * 2^52
    V n = x * 1.4426950408889634074 + magic;
    I bits;
    __builtin_memcpy(&bits, &n, sizeof(V));
    n -= magic;
    V r = x - n * 6.93147180369123816490e-1;
    r = r - n * 1.90821492927058770002e-10;
    // Taylor's series to r^13, |r| <= 0.35: the rest is below 5e-18
    V p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * (r * r) + r + 1.0;
    bits = (bits << 52) + (uint64_t(1023) << 52);
    V scale;
    __builtin_memcpy(&scale, &bits, sizeof(V));
    return p * scale;
}

template <class T, int L>
inline T inner(const T* a, const T* b, int64_t n) {
    typedef typename Lanes<T, L>::V V;
    V sum = V{};
    int64_t c = 0;
    for (; c + L <= n; c += L) sum += Lanes<T, L>::load(a + c) * Lanes<T, L>::load(b + c);
    T total = Lanes<T, L>::total(sum);
    for (; c < n; ++c) total += a[c] * b[c];
    return total;
}

}  // namespace
