// What a BERT does between its linear layers, for processors with AVX-512.
#pragma once

#include <stdint.h>

// the longest text in tokens, and the widest head; a head's width is a multiple of 16
constexpr int64_t TEXT_LENGTH = 512;
constexpr int64_t TEXT_WIDTH = 64;

// out = softmax(scale q k^T) v for each text and head; q, k, v, out [tokens, heads, width], text i
// being the rows starts[i] .. starts[i + 1]
void text_attend(const float* q, const float* k, const float* v, const int64_t* starts,
                 int64_t texts, int64_t heads, int64_t width, float scale, float* out,
                 int threads);
// out = LayerNorm(x + y), [rows, width]
void text_add_norm(const float* x, const float* y, int64_t rows, int64_t width, const float* gain,
                   const float* bias, float epsilon, float* out, int threads);
