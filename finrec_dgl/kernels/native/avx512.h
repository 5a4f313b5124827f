// What the files share that are written for AVX-512 alone.
#pragma once

#include <immintrin.h>
#include <stdint.h>

// without it arrays of vectors go through memory (seen with g++ 12)
#define UNROLLED _Pragma("GCC unroll 16")

namespace {

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

inline int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// the first `left` of 16 lanes, or all
inline __mmask16 lanes(int64_t left) {
    return left >= 16 ? 0xFFFF : __mmask16((1u << left) - 1);
}

// 16 rows of 16 columns, of 32 bits each, to columns
inline __attribute__((always_inline)) void turn(__m512i (&row)[16]) {
    __m512i t[16];
    UNROLLED for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
    UNROLLED for (int i = 0; i < 16; i += 4) {
        row[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        row[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        row[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        row[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLLED for (int j = 0; j < 4; ++j) {
        const __m512i even = _mm512_shuffle_i32x4(row[j], row[4 + j], 0x88);
        const __m512i odd = _mm512_shuffle_i32x4(row[j], row[4 + j], 0xDD);
        const __m512i even_below = _mm512_shuffle_i32x4(row[8 + j], row[12 + j], 0x88);
        const __m512i odd_below = _mm512_shuffle_i32x4(row[8 + j], row[12 + j], 0xDD);
        t[j] = _mm512_shuffle_i32x4(even, even_below, 0x88);
        t[4 + j] = _mm512_shuffle_i32x4(odd, odd_below, 0x88);
        t[8 + j] = _mm512_shuffle_i32x4(even, even_below, 0xDD);
        t[12 + j] = _mm512_shuffle_i32x4(odd, odd_below, 0xDD);
    }
    UNROLLED for (int i = 0; i < 16; ++i) row[i] = t[i];
}

}  // namespace
