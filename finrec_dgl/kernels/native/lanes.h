// Vectors of the processor: L numbers at a time, as many as the instruction set has.
#pragma once

#include <stdint.h>

#ifndef FINREC_VARIANT
#define FINREC_VARIANT finrec_plain
#define FINREC_BYTES 16
#endif

// local to each object: the linker must not merge what other instruction sets made
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

}  // namespace
