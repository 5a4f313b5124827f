// A linear layer in 8-bit integers, for processors with AVX-512 VNNI.
#pragma once

#include <stdint.h>

// Arrays as int8_pack and the caller made them; P = outputs / 64 and G = inputs / 128, rounded up.
struct Int8Layer {
    int64_t outputs;
    int64_t inputs;
    const int8_t* weight;  // [P, inputs / 4 rounded up, 64, 4]
    const float* scale;    // [P, G, 64]
    const float* lean;     // [P, G, 64]: scale x the sum of the group's integers
    const float* bias;     // [outputs], or null
};

// q [outputs, inputs] in the order that the layer reads
void int8_pack(int64_t outputs, int64_t inputs, const int8_t* q, int8_t* packed);
// bytes that a thread needs
int64_t int8_room(int64_t inputs);
// y [rows, outputs] from x [rows, inputs]
void int8_linear(const Int8Layer& layer, const float* x, int64_t rows, float* y, uint8_t* room,
                 int threads);
