// What a BERT does between its linear layers, for processors with AVX-512.
#pragma once

#include "avx512.h"

// the longest text in tokens, and the widest head; a head's width is a multiple of 16
constexpr int64_t TEXT_LENGTH = 512;
constexpr int64_t TEXT_WIDTH = 64;

// q = softmax(scale q k^T) v for each head of one text of `length` tokens: q, k, v [length, heads,
// width], whose rows lie `stride` apart
void text_attend(float* q, const float* k, const float* v, int64_t length, int64_t heads,
                 int64_t width, int64_t stride, float scale);
// x = LayerNorm(x), one row [width]
void text_norm(float* x, int64_t width, const float* gain, const float* bias, float epsilon);

namespace {

// x (1 + erf(x / sqrt 2)) / 2, to 2e-7 of max(1, |x|), which is half of what PyTorch's own is off
// by. The normal distribution is 1/2 + x P(x^2) / Q(x^2) up to 5.4, beyond which float32 holds 1;
// P and Q are fitted to the least greatest error of the product with x. NaN stays NaN.
inline __m512 gelu(__m512 x) {
    constexpr float P[] = {0.398942053f,    0.0344916359f,   0.00472236192f,
                           0.00017625904f,  6.49008143e-06f, 2.27757866e-08f};
    constexpr float Q[] = {1.0f,            0.253122002f,   0.0290276147f,
                           0.00192545704f,  7.6506476e-05f, 1.20860489e-06f};
    __m512 z = _mm512_min_ps(_mm512_set1_ps(5.4f), x);
    z = _mm512_max_ps(_mm512_set1_ps(-5.4f), z);
    const __m512 s = _mm512_mul_ps(z, z);
    __m512 p = _mm512_set1_ps(P[5]);
    __m512 q = _mm512_set1_ps(Q[5]);
    UNROLLED for (int k = 4; k >= 0; --k) {
        p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(P[k]));
        q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(Q[k]));
    }
    const __m512 normal = _mm512_fmadd_ps(z, _mm512_div_ps(p, q), _mm512_set1_ps(0.5f));
    return _mm512_mul_ps(x, normal);
}

}  // namespace
