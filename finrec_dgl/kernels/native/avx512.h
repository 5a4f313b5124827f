// What the files share that are written for AVX-512 alone.
#pragma once

#include <immintrin.h>
#include <stdint.h>

// without it arrays of vectors go through memory (seen with g++ 12)
#define UNROLLED _Pragma("GCC unroll 8")

namespace {

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// the first `left` of 16 lanes, or all
inline __mmask16 lanes(int64_t left) {
    return left >= 16 ? 0xFFFF : __mmask16((1u << left) - 1);
}

}  // namespace
