// A BERT's forward pass over texts laid end to end, for processors with AVX-512.
#pragma once

#include "linear.h"

// A norm after a sum: gain and bias [width].
struct Norm {
    const float* gain;
    const float* bias;
};

// What one layer has, in the order of its steps.
struct BertLayer {
    Linear query, key, value, mixed;
    Norm attended;
    Linear widen, narrow;
    Norm done;
};

enum class Precision { SINGLE, HALF, INT8, MIXED };

struct Bert {
    int64_t hidden;  // columns of a state
    int64_t wide;    // columns between the last two linear layers
    int64_t heads;
    int64_t layers;
    float epsilon;
    Precision precision;
    const float* place;  // [TEXT_LENGTH or fewer, hidden], added to the words
    Norm embedded;
};

// `addresses`, for each layer in the order of BertLayer: of a linear one weight, scale, lean and
// bias, of a norm gain and bias
constexpr int64_t LAYER_ADDRESSES = 6 * 4 + 2 * 2;

// whether bfloat16 was compiled
bool bert_has_halves();
// bytes that a thread needs, for texts of up to `longest` tokens
int64_t bert_room(const Bert& bert, int64_t longest);
// x [tokens, hidden]: embedded words, and in their place the last layer's states. Text i is the rows
// starts[i] .. starts[i + 1], at least one and at most `longest`.
void bert_forward(const Bert& bert, const void* const* addresses, float* x, const int64_t* starts,
                  int64_t texts, int64_t longest, uint8_t* room, int threads);
