// Rows of numbers of which some count, as many at once as a vector has lanes.
#pragma once

#include "lanes.h"

// all in here is local to each object: the linker must not merge what other instruction sets made
namespace {

// L numbers of which `mask` count; fewer than L at the end of a row, the others do not count.
template <class T, int L>
struct Some {
    typedef typename Lanes<T, L>::V V;
    typedef typename Lanes<T, L>::I I;
    V value;
    I mask;

    static inline I flags(const uint8_t* counted) {
        typedef uint8_t Bytes __attribute__((vector_size(L)));
        Bytes bytes;
        __builtin_memcpy(&bytes, counted, L);
        return (I)(__builtin_convertvector(bytes, I) != I{});
    }
    static inline Some whole(const T* values, const uint8_t* counted) {
        return {Lanes<T, L>::load(values), flags(counted)};
    }
    static inline Some rest(const T* values, const uint8_t* counted, int64_t n) {
        T some[L] = {};
        uint8_t count[L] = {};
        for (int64_t k = 0; k < n; ++k) some[k] = values[k], count[k] = counted[k];
        return whole(some, count);
    }
};

template <class T, int L, class Visit>
inline void each(const T* values, const uint8_t* counted, int64_t n, Visit visit) {
    int64_t c = 0;
    for (; c + L <= n; c += L) visit(Some<T, L>::whole(values + c, counted + c), c);
    if (c < n) visit(Some<T, L>::rest(values + c, counted + c, n - c), c);
}

// the first n - c lanes of `one`, at most L
template <class T, int L>
inline void put(T* to, int64_t c, int64_t n, typename Lanes<T, L>::V one) {
    if (c + L <= n)
        Lanes<T, L>::store(to + c, one);
    else
        __builtin_memcpy(to + c, &one, (n - c) * sizeof(T));
}

// those lanes, 0 in the others
template <class T, int L>
inline typename Lanes<T, L>::V get(const T* from, int64_t c, int64_t n) {
    if (c + L <= n) return Lanes<T, L>::load(from + c);
    typename Lanes<T, L>::V one = {};
    __builtin_memcpy(&one, from + c, (n - c) * sizeof(T));
    return one;
}

}  // namespace
