// Products of a few rows and a panel of outputs, whose sums stay in registers, and a layer of them.
#pragma once

#include <string.h>

#include "avx512.h"
#include "linear.h"

constexpr int64_t PANEL = 64;  // outputs that are computed at once: four vectors
constexpr int64_t GROUP = 64;  // inputs of a panel that are gone through at once
constexpr int64_t TILE = 6;    // rows that are: 24 sums stay in registers

namespace {

// Sums of products by 32 bits of a row: four unsigned bytes by four signed ones, two bfloat16s, or
// one float. In assembly because the intrinsics make g++ 12 keep a copy of every sum in memory.
struct Bytes {
    typedef __m512i V;
    static inline V zero() { return _mm512_setzero_si512(); }
    static inline void add(V& sum, __m512i row, __m512i weights) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    }
};

#ifndef FINREC_NO_BF16  // an assembler that is too old for it
struct Halves {
    typedef __m512 V;
    static inline V zero() { return _mm512_setzero_ps(); }
    static inline void add(V& sum, __m512i row, __m512i weights) {
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    }
};
#endif

struct Singles {
    typedef __m512 V;
    static inline V zero() { return _mm512_setzero_ps(); }
    static inline void add(V& sum, __m512i row, __m512i weights) {
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(weights));
    }
};

// total [R, PANEL] += `steps` times 32 bits of R rows, `stride` bytes apart, by panel [steps, PANEL]
template <class Sums, int R>
inline __attribute__((always_inline)) void multiply(const uint8_t* rows, int64_t stride,
                                                    int64_t steps, const uint8_t* panel,
                                                    typename Sums::V (&total)[R][4]) {
    for (int64_t k = 0; k < steps; ++k) {
        __m512i b[4];
        UNROLLED for (int c = 0; c < 4; ++c) b[c] = _mm512_loadu_si512(panel + (k * 4 + c) * 64);
        UNROLLED for (int r = 0; r < R; ++r) {
            int32_t bits;
            memcpy(&bits, rows + r * stride + k * 4, 4);
            const __m512i a = _mm512_set1_epi32(bits);
            UNROLLED for (int c = 0; c < 4; ++c) Sums::add(total[r][c], a, b[c]);
        }
    }
}

// f(row, column, vector, mask) for every sum of a panel, with its bias
template <class F>
inline void each_sum(const Linear& layer, int64_t p, int64_t rows, const float* sums, F f) {
    for (int64_t c = 0; c < PANEL && p * PANEL + c < layer.outputs; c += 16) {
        const int64_t n = p * PANEL + c;
        const __mmask16 here = lanes(layer.outputs - n);
        const __m512 bias =
            layer.bias ? _mm512_maskz_loadu_ps(here, layer.bias + n) : _mm512_setzero_ps();
        for (int64_t r = 0; r < rows; ++r)
            f(r, n, _mm512_add_ps(_mm512_loadu_ps(sums + r * PANEL + c), bias), here);
    }
}

// x [rows, stride] = the layer's outputs
template <class Rows>
void put(const Linear& layer, const Rows& in, int64_t rows, float* sums, float* x, int64_t stride) {
    for (int64_t p = 0; p * PANEL < layer.outputs; ++p) {
        in.multiply(layer, p, rows, sums);
        each_sum(layer, p, rows, sums, [=](int64_t r, int64_t n, __m512 v, __mmask16 here) {
            _mm512_mask_storeu_ps(x + r * stride + n, here, v);
        });
    }
}

}  // namespace
