// Kernels of losses: one table for each instruction set that the library was compiled for.
#pragma once

#include <stdint.h>

// Scores [rows, columns], and which of them count.
template <class T>
struct Compared {
    int64_t rows;
    int64_t columns;
    const T* scores;
    const uint8_t* allowed;
    int threads;
};

template <class T>
struct Losses {
    // total [rows] = log of the sum over what counts of exp(score); -inf where nothing does
    void (*log_sums)(const Compared<T>&, T* total);
    // to_scores [rows, columns] = gradient [rows] exp(score - total), 0 for what does not count
    void (*log_sums_grad)(const Compared<T>&, const T* total, const T* gradient, T* to_scores);
};

struct LossTable {
    Losses<float> f32;
    Losses<double> f64;
};

extern "C" {
extern const LossTable finrec_plain_losses;
#ifdef FINREC_X86
extern const LossTable finrec_avx2_losses;
extern const LossTable finrec_avx512_losses;
#endif
}
