// Draws without replacement that follow from a key alone: Floyd's sample of the ranks of a row.
//
// A number follows from the key and how many were drawn before, by the finaliser of SplitMix64
// (Steele, Lea and Flood, 2014): the number of threads changes nothing.
#pragma once

#include <stdint.h>

namespace {

constexpr uint64_t GOLDEN = 0x9E3779B97F4A7C15u;
constexpr int64_t FEW = 64;  // up to so many numbers, looking through them all is quickest

inline uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// of 0 .. bound - 1; 52 bits, so that the product is below bound after rounding too
inline int32_t draw(uint64_t node_key, int64_t number, int64_t bound) {
    const uint64_t bits = mix(node_key + GOLDEN * uint64_t(number + 1)) >> 12;
    return int32_t(double(int64_t(bits)) * (1.0 / 4503599627370496.0) * double(bound));
}

inline bool among(const int32_t* chosen, int64_t n, int32_t one) {
    int32_t found = 0;
    for (int64_t j = 0; j < n; ++j) found |= chosen[j] == one;
    return found;
}

// A bit a number, modulo 64, tells of most that they were not drawn before; of 64 or fewer, of all.
template <bool EXACT>
inline void few_ranks(uint64_t node_key, int64_t left, int64_t k, int32_t* chosen) {
    uint64_t seen = 0;
    for (int64_t j = 0; j < k; ++j) {
        const int64_t most = left - k + j;
        int32_t one = draw(node_key, j, most + 1);
        if (EXACT)
            one = seen >> one & 1 ? int32_t(most) : one;
        else if (seen >> (one & 63) & 1 && among(chosen, j, one))
            one = int32_t(most);
        seen |= uint64_t(1) << (one & 63);
        chosen[j] = one;
    }
}

// bits: all zero, before and after
inline void many_ranks(uint64_t node_key, int64_t left, int64_t k, uint64_t* bits, int32_t* chosen) {
    for (int64_t j = 0; j < k; ++j) {
        const int64_t most = left - k + j;
        int32_t one = draw(node_key, j, most + 1);
        if (bits[one >> 6] >> (one & 63) & 1) one = int32_t(most);
        bits[one >> 6] |= uint64_t(1) << (one & 63);
        chosen[j] = one;
    }
    for (int64_t j = 0; j < k; ++j) bits[chosen[j] >> 6] = 0;
}

// k < left of the ranks 0 .. left - 1. bits: left of them, all zero; may be null where k is at most
// FEW.
inline void draw_ranks(uint64_t row_key, int64_t left, int64_t k, uint64_t* bits, int32_t* chosen) {
    if (left <= 64)
        few_ranks<true>(row_key, left, k, chosen);
    else if (k <= FEW)
        few_ranks<false>(row_key, left, k, chosen);
    else
        many_ranks(row_key, left, k, bits, chosen);
}

}  // namespace
