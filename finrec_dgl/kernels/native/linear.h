// A linear layer as the caller holds it.
#pragma once

#include <stdint.h>

// y = x W^T + b: sizes, weights, and bias or null; scale and lean with 8-bit integers alone. See
// int8.h and dense.h.
struct Linear {
    int64_t outputs;
    int64_t inputs;
    const void* weight;
    const float* scale;
    const float* lean;
    const float* bias;
};
