// Kernels of messages as shares, of sums over channels and of inner products of pairs: one table for
// each instruction set that the library was compiled for.
#pragma once

#include <stdint.h>

// Messages [rows, columns], `stride` from row to row, of which those add up that are free.
template <class T>
struct Shared {
    int64_t rows;
    int64_t columns;
    int64_t stride;
    const T* messages;
    const uint8_t* free;
    double floor;
    int threads;
};

// Channels [channels, rows, columns], `channel_stride` and `row_stride` apart.
template <class T>
struct Channels {
    int64_t channels;
    int64_t rows;
    int64_t columns;
    int64_t channel_stride;
    int64_t row_stride;
    const T* values;
    int threads;
};

// Rows of two tables, `k` of `right` for each of `left`.
template <class T>
struct Pairs {
    int64_t rows;
    int64_t k;
    int64_t width;
    const T* left;
    const T* right;
    int threads;
};

template <class T>
struct Shares {
    // out [rows, columns] = log(x / total * count + floor), x = max(message, 0), with the total of x
    // and the count over what is free; both [rows]
    void (*log_shares)(const Shared<T>&, T* total, T* count, T* out);
    // to_messages [rows, columns], and to_floor [rows]: each row's part of the gradient to the floor
    void (*log_shares_grad)(const Shared<T>&, const T* total, const T* count, const T* gradient,
                            T* to_messages, T* to_floor);
    // out [rows, columns] = sum over channels of weight [rows, channels] times the channel
    void (*weighted_sum)(const Channels<T>&, const T* weight, T* out);
    // to_weight [rows, channels] = sum over columns of gradient [rows, columns] times the channel
    void (*weighted_sum_grad)(const Channels<T>&, const T* gradient, T* to_weight);
    // out [rows, k] = inner product of row b of left [rows, width] and row at[b, j] of right
    void (*pair_dots)(const Pairs<T>&, const int64_t* at, T* out);
};

struct ShareTable {
    Shares<float> f32;
    Shares<double> f64;
};

extern "C" {
extern const ShareTable finrec_plain_shares;
#ifdef FINREC_X86
extern const ShareTable finrec_avx2_shares;
extern const ShareTable finrec_avx512_shares;
#endif
}
