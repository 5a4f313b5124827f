// A linear layer in 8-bit integers by VNNI instructions: y = x W^T + b with x and y in float32.
//
// Weights: signed, a scale for each output and group of GROUP inputs, w = s q, |q| <= 127.
// Inputs: unsigned, a scale and an offset for each row and group, taken anew from the group's least
// and greatest value, x = low + step u, 0 <= u <= 255. So over a group
//   sum x w = s (step sum u q + low sum q),
// the first sum in int32 without rounding, the second known beforehand (`lean` = s sum q).
//
// Rows are dealt to threads in blocks, and one row is summed in one order whatever the block.
#include "int8.h"

#include <string.h>

#include "avx512.h"

namespace {

constexpr int64_t GROUP = 64;    // inputs that share a scale
constexpr int64_t PANEL = 64;    // outputs that are computed at once: four vectors
constexpr int64_t TILE = 6;      // rows that are: 24 sums stay in registers
constexpr int64_t BLOCK = 8 * TILE;

inline int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// sum += the products of unsigned and signed bytes, four by four; the intrinsic makes g++ 12 keep a
// copy of every sum in memory
inline void dot(__m512i& sum, __m512i bytes, __m512i weights) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights));
}

// One row to unsigned bytes, group by group; beyond `inputs` zeros up to a multiple of 4.
void quantize(const float* x, int64_t inputs, uint8_t* u, float* step, float* low) {
    for (int64_t g = 0; g * GROUP < inputs; ++g) {
        const float* from = x + g * GROUP;
        const int64_t size = least(GROUP, inputs - g * GROUP);
        __m512 least_of = _mm512_set1_ps(__builtin_inff());
        __m512 most_of = _mm512_set1_ps(-__builtin_inff());
        __mmask16 unordered = 0;
        for (int64_t k = 0; k < size; k += 16) {
            const __mmask16 here = lanes(size - k);
            const __m512 v = _mm512_maskz_loadu_ps(here, from + k);
            least_of = _mm512_mask_min_ps(least_of, here, least_of, v);
            most_of = _mm512_mask_max_ps(most_of, here, most_of, v);
            unordered |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        }
        const float first = _mm512_reduce_min_ps(least_of);
        const float span = _mm512_reduce_max_ps(most_of) - first;
        const float inverse = span > 0 ? 255.0f / span : 0.0f;
        // what is not a number must be seen in the output
        step[g] = unordered ? __builtin_nanf("") : span / 255.0f;
        low[g] = first;
        for (int64_t k = 0; k < size; k += 16) {
            const __mmask16 here = lanes(size - k);
            const __m512 v = _mm512_maskz_loadu_ps(here, from + k);
            const __m512 scaled =
                _mm512_mul_ps(_mm512_sub_ps(v, _mm512_set1_ps(first)), _mm512_set1_ps(inverse));
            const __m512i q = _mm512_maskz_cvtps_epi32(here, scaled);
            const __mmask16 room = size - k >= 16 ? 0xFFFF : __mmask16((1u << (4 * up(size - k, 4))) - 1);
            _mm512_mask_cvtusepi32_storeu_epi8(u + g * GROUP + k, room, q);
        }
    }
}

// sums [R, PANEL] += one group of `steps` times four inputs, of R rows whose bytes lie `stride` apart
template <int R>
inline void group_tile(const uint8_t* u, int64_t stride, int64_t steps, const int8_t* w,
                       const float* scale, const float* lean, const float* step, const float* low,
                       int64_t groups, float* sums) {
    __m512i total[R][4];
    UNROLLED for (int r = 0; r < R; ++r)
        UNROLLED for (int c = 0; c < 4; ++c) total[r][c] = _mm512_setzero_si512();
    for (int64_t k = 0; k < steps; ++k) {
        __m512i b[4];
        UNROLLED for (int c = 0; c < 4; ++c) b[c] = _mm512_loadu_si512(w + (k * 4 + c) * 64);
        UNROLLED for (int r = 0; r < R; ++r) {
            int32_t four;
            memcpy(&four, u + r * stride + k * 4, 4);
            const __m512i a = _mm512_set1_epi32(four);
            UNROLLED for (int c = 0; c < 4; ++c) dot(total[r][c], a, b[c]);
        }
    }
    UNROLLED for (int c = 0; c < 4; ++c) {
        const __m512 s = _mm512_loadu_ps(scale + 16 * c);
        const __m512 l = _mm512_loadu_ps(lean + 16 * c);
        UNROLLED for (int r = 0; r < R; ++r) {
            float* to = sums + r * PANEL + 16 * c;
            __m512 v = _mm512_loadu_ps(to);
            v = _mm512_fmadd_ps(_mm512_set1_ps(low[r * groups]), l, v);
            const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(total[r][c]), s);
            v = _mm512_fmadd_ps(_mm512_set1_ps(step[r * groups]), product, v);
            _mm512_storeu_ps(to, v);
        }
    }
}

typedef void (*Tile)(const uint8_t*, int64_t, int64_t, const int8_t*, const float*, const float*,
                     const float*, const float*, int64_t, float*);
const Tile TILES[TILE + 1] = {nullptr,       group_tile<1>, group_tile<2>, group_tile<3>,
                              group_tile<4>, group_tile<5>, group_tile<6>};

void block(const Int8Layer& layer, const float* x, int64_t rows, float* y, uint8_t* room) {
    const int64_t groups = up(layer.inputs, GROUP);
    const int64_t width = 4 * up(layer.inputs, 4);
    uint8_t* u = room;
    float* step = (float*)(room + BLOCK * groups * GROUP);
    float* low = step + BLOCK * groups;
    for (int64_t r = 0; r < rows; ++r)
        quantize(x + r * layer.inputs, layer.inputs, u + r * groups * GROUP, step + r * groups,
                 low + r * groups);
    alignas(64) float sums[BLOCK * PANEL];
    for (int64_t p = 0; p * PANEL < layer.outputs; ++p) {
        memset(sums, 0, sizeof(float) * rows * PANEL);
        const int8_t* w = layer.weight + p * width * PANEL;
        for (int64_t g = 0; g < groups; ++g) {
            const int64_t steps = least(GROUP, width - g * GROUP) / 4;
            const int64_t at = (p * groups + g) * PANEL;
            for (int64_t r = 0; r < rows; r += TILE)
                TILES[least(TILE, rows - r)](u + r * groups * GROUP + g * GROUP, groups * GROUP,
                                             steps, w + g * GROUP * PANEL, layer.scale + at,
                                             layer.lean + at, step + r * groups + g,
                                             low + r * groups + g, groups, sums + r * PANEL);
        }
        for (int64_t c = 0; c < PANEL && p * PANEL + c < layer.outputs; c += 16) {
            const int64_t n = p * PANEL + c;
            const int64_t left = layer.outputs - n;
            const __mmask16 here = left >= 16 ? 0xFFFF : __mmask16((1u << left) - 1);
            const __m512 bias = layer.bias ? _mm512_maskz_loadu_ps(here, layer.bias + n)
                                           : _mm512_setzero_ps();
            for (int64_t r = 0; r < rows; ++r) {
                const __m512 v = _mm512_add_ps(_mm512_load_ps(sums + r * PANEL + c), bias);
                _mm512_mask_storeu_ps(y + r * layer.outputs + n, here, v);
            }
        }
    }
}

}  // namespace

int64_t int8_room(int64_t inputs) {
    const int64_t groups = up(inputs, GROUP);
    return BLOCK * groups * (GROUP + 8);
}

void int8_pack(int64_t outputs, int64_t inputs, const int8_t* q, int8_t* packed) {
    const int64_t width = 4 * up(inputs, 4);
    for (int64_t p = 0; p * PANEL < outputs; ++p)
        for (int64_t k = 0; k < width; ++k)
            for (int64_t c = 0; c < PANEL; ++c) {
                const int64_t n = p * PANEL + c;
                packed[(p * (width / 4) + k / 4) * PANEL * 4 + c * 4 + k % 4] =
                    n < outputs && k < inputs ? q[n * inputs + k] : 0;
            }
}

void int8_linear(const Int8Layer& layer, const float* x, int64_t rows, float* y, uint8_t* room,
                 int threads) {
    if (!rows) return;
    // small enough that every thread has one
    const int64_t size = least(BLOCK, TILE * up(up(rows, threads), TILE));
    const int64_t blocks = up(rows, size);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t t = 0; t < threads; ++t)
        for (int64_t b = t; b < blocks; b += threads)
            block(layer, x + b * size * layer.inputs, least(size, rows - b * size),
                  y + b * size * layer.outputs, room + t * int8_room(layer.inputs));
}
