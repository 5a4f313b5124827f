// Vectors of as many lanes as the instruction set has, and exp of them.
#pragma once

#include "kernels.h"

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
    // by halves: as few additions one after another as there can be
    static inline T total(V v) {
        if constexpr (L == 1) {
            return v[0];
        } else {
            typedef Lanes<T, L / 2> Half;
            typename Half::V half[2];
            __builtin_memcpy(half, &v, sizeof(V));
            return Half::total(half[0] + half[1]);
        }
    }
};

// 32 well-mixed bits (the finaliser of MurmurHash3, by Austin Appleby)
inline uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x85EBCA6Bu;
    x ^= x >> 13;
    x *= 0xC2B2AE35u;
    return x ^ (x >> 16);
}

constexpr uint32_t STEP = 0x9E3779B1u;

// the same of a number and a seed
inline uint32_t seeded(int64_t number, uint64_t seed) {
    return mix(uint32_t(number) * STEP + uint32_t(seed)) ^ uint32_t(seed >> 32);
}

template <class T, class R>
constexpr bool BRIEF = sizeof(R) < sizeof(T);

// Rows of vectors as they are held: in the type that is computed in, or in bfloat16, whose 16 bits
// are the upper half of a float's.
template <class T, class R, int L>
inline typename Lanes<T, L>::V widen(const R* from) {
    if constexpr (!BRIEF<T, R>) {
        return Lanes<T, L>::load(from);
    } else {
        typedef uint16_t Half __attribute__((vector_size(L * sizeof(uint16_t))));
        typedef typename Lanes<T, L>::I I;
        Half bits;
        __builtin_memcpy(&bits, from, sizeof(Half));
        const I upper = __builtin_convertvector(bits, I) << 16;
        typename Lanes<T, L>::V v;
        __builtin_memcpy(&v, &upper, sizeof(v));
        return v;
    }
}

inline float widen_one(Brief one) {
    const uint32_t upper = uint32_t(one.bits) << 16;
    float v;
    __builtin_memcpy(&v, &upper, sizeof(v));
    return v;
}
inline float widen_one(float one) { return one; }
inline double widen_one(double one) { return one; }

// to the nearest, to the even one where two are as near; NaN stays NaN
inline void narrow(const float* from, int64_t n, Brief* to) {
    for (int64_t k = 0; k < n; ++k) {
        uint32_t bits;
        __builtin_memcpy(&bits, from + k, sizeof(bits));
        const uint32_t rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
        to[k].bits = uint16_t((from[k] != from[k] ? bits | 0x400000u : rounded) >> 16);
    }
}

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

template <class T, int L, class R>
inline T inner(const T* a, const R* b, int64_t n) {
    typedef typename Lanes<T, L>::V V;
    V sum = V{};
    int64_t c = 0;
    for (; c + L <= n; c += L) sum += Lanes<T, L>::load(a + c) * widen<T, R, L>(b + c);
    T total = Lanes<T, L>::total(sum);
    for (; c < n; ++c) total += a[c] * widen_one(b[c]);
    return total;
}

}  // namespace
