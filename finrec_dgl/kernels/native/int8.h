// A linear layer in 8-bit integers, for processors with AVX-512 VNNI.
//
// Weights: signed, a scale for each output and GROUP inputs, w = s q, |q| <= 127. Of `Linear`, with
// P = outputs / PANEL and G = inputs / GROUP, rounded up:
//   weight int8 [P, inputs / 4 rounded up, PANEL, 4], scale [P, G, PANEL],
//   lean [P, G, PANEL] = scale x the sum of the group's integers.
// Inputs: unsigned, a scale and an offset for each row and group, taken anew from the group's least
// and greatest value, x = low + step u, 0 <= u <= 255. So over a group
//   sum x w = s (step sum u q + low sum q),
// the first sum in int32 without rounding, the second known beforehand (`lean`).
#pragma once

#include "linear.h"

// Rows of inputs, rounded.
class Int8Rows {
  public:
    // bytes of memory for so many rows
    static int64_t bytes(int64_t rows, int64_t inputs);
    // in memory of `bytes`
    Int8Rows(uint8_t* room, int64_t rows, int64_t inputs);
    // row i is x [inputs]
    void take(int64_t i, const float* x);
    // its group g is x [size]
    void take_group(int64_t i, int64_t g, const float* x, int64_t size);
    // sums [rows, PANEL], without bias, of panel p: of the first `rows` rows
    void multiply(const Linear& layer, int64_t p, int64_t rows, float* sums) const;

  private:
    int64_t inputs;
    int64_t groups;
    uint8_t* u;   // [rows, groups, GROUP]
    float* step;  // [rows, groups]
    float* low;   // [rows, groups]
};

// q [outputs, inputs] in the order that the layer reads
void int8_pack(int64_t outputs, int64_t inputs, const int8_t* q, int8_t* packed);
// bytes that a thread needs
int64_t int8_room(int64_t inputs);
// y [rows, outputs] from x [rows, inputs]
void int8_linear(const Linear& layer, const float* x, int64_t rows, float* y, uint8_t* room,
                 int threads);
