// A linear layer in float32, or in bfloat16 with sums in float32, for processors with AVX-512.
//
// Of `Linear`: weight [outputs, inputs] as PyTorch has it. A piece of a panel is put in order each
// time that it is used: for some hundred rows that is a few hundredths of the work, and no second
// copy of the weights has to be held and kept the same.
#pragma once

#include "tile.h"

namespace {

// how many inputs 32 bits hold, and how a row is rounded
template <class Sums>
struct Held;

template <>
struct Held<Singles> {
    static constexpr int64_t INPUTS = 1;
    static inline void take(const float* x, int64_t size, uint8_t* to) { memcpy(to, x, 4 * size); }
};

#ifndef FINREC_NO_BF16
template <>
struct Held<Halves> {
    static constexpr int64_t INPUTS = 2;
    // to the nearest, to the even one where two are as near
    static inline void take(const float* x, int64_t size, uint8_t* to) {
        for (int64_t k = 0; k < size; k += 16) {
            __m256i brief;
            const __m512 v = _mm512_maskz_loadu_ps(lanes(size - k), x + k);
            __asm__("vcvtneps2bf16 %1, %0" : "=v"(brief) : "v"(v));
            _mm256_mask_storeu_epi16(to + 2 * k, lanes(size + size % 2 - k), brief);
        }
    }
};
#endif

// Rows of inputs, as Int8Rows has them.
template <class Sums>
class DenseRows {
  public:
    static int64_t bytes(int64_t rows, int64_t inputs) {
        return 4 * (PIECE + rows * up(inputs, Held<Sums>::INPUTS));
    }
    DenseRows(uint8_t* room, int64_t, int64_t inputs)
        : inputs(inputs),
          stride(4 * up(inputs, Held<Sums>::INPUTS)),
          piece(room),
          rows(room + 4 * PIECE) {}

    void take(int64_t i, const float* x) { Held<Sums>::take(x, inputs, rows + i * stride); }

    void take_group(int64_t i, int64_t g, const float* x, int64_t size) {
        Held<Sums>::take(x, size, rows + i * stride + g * GROUP * 4 / Held<Sums>::INPUTS);
    }

    void multiply(const Linear& layer, int64_t p, int64_t count, float* sums) const {
        static const Tile TILES[TILE + 1] = {nullptr, tile<1>, tile<2>, tile<3>,
                                             tile<4>, tile<5>, tile<6>};
        memset(sums, 0, sizeof(float) * count * PANEL);
        for (int64_t k = 0; k < stride / 4; k += GROUP) {
            const int64_t steps = least(GROUP, stride / 4 - k);
            arrange(layer, p, k, steps);
            for (int64_t r = 0; r < count; r += TILE)
                TILES[least(TILE, count - r)](rows + r * stride + 4 * k, stride, steps, piece,
                                              sums + r * PANEL);
        }
    }

  private:
    static constexpr int64_t PIECE = GROUP * PANEL;
    typedef void (*Tile)(const uint8_t*, int64_t, int64_t, const uint8_t*, float*);
    int64_t inputs;
    int64_t stride;  // bytes of a row
    uint8_t* piece;  // [GROUP, PANEL] times 32 bits
    uint8_t* rows;

    template <int R>
    static void tile(const uint8_t* rows, int64_t stride, int64_t steps, const uint8_t* panel,
                     float* sums) {
        __m512 total[R][4];
        UNROLLED for (int r = 0; r < R; ++r)
            UNROLLED for (int c = 0; c < 4; ++c)
                total[r][c] = _mm512_loadu_ps(sums + r * PANEL + 16 * c);
        ::multiply<Sums, R>(rows, stride, steps, panel, total);
        UNROLLED for (int r = 0; r < R; ++r)
            UNROLLED for (int c = 0; c < 4; ++c)
                _mm512_storeu_ps(sums + r * PANEL + 16 * c, total[r][c]);
    }

    // piece = the weights of panel p at `steps` times 32 bits of inputs from k on
    void arrange(const Linear& layer, int64_t p, int64_t k, int64_t steps) const {
        constexpr int64_t SIZE = 4 / Held<Sums>::INPUTS;  // bytes of a weight
        for (int64_t c = 0; c < PANEL; c += 16)
            for (int64_t s = 0; s < steps; s += 16) {
                __m512i row[16];
                const int64_t n = p * PANEL + c, from = (k + s) * Held<Sums>::INPUTS;
                const int64_t left = least(64, (inputs - from) * SIZE);  // bytes
                const uint8_t* at = (const uint8_t*)layer.weight + (n * inputs + from) * SIZE;
                if (left == 64 && n + 16 <= layer.outputs)
                    UNROLLED for (int i = 0; i < 16; ++i)
                        row[i] = _mm512_loadu_si512(at + i * inputs * SIZE);
                else
                    UNROLLED for (int i = 0; i < 16; ++i)
                        row[i] = _mm512_maskz_loadu_epi8(
                            n + i < layer.outputs ? ~0ull >> (64 - left) : 0,
                            at + i * inputs * SIZE);
                turn(row);
                UNROLLED for (int i = 0; i < 16; ++i)
                    _mm512_storeu_si512(piece + ((s + i) * PANEL + c) * 4, row[i]);
            }
    }
};

}  // namespace
