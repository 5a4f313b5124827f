// A linear layer in 8-bit integers by VNNI instructions: y = x W^T + b with x and y in float32.
//
// Rows are dealt to threads in blocks, and one row is summed in one order whatever the block.
#include "int8.h"

#include "tile.h"

namespace {

constexpr int64_t BLOCK = 8 * TILE;  // rows whose sums stay in the nearest cache

// max over a's lanes, and over b's
inline void greatest(__m512 a, __m512 b, float* of_a, float* of_b) {
    __m512 both = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
    both = _mm512_max_ps(both, _mm512_shuffle_f32x4(both, both, 0xB1));
    both = _mm512_max_ps(both, _mm512_permute_ps(both, 0x4E));
    both = _mm512_max_ps(both, _mm512_permute_ps(both, 0xB1));
    *of_a = _mm512_cvtss_f32(both);
    *of_b = _mm_cvtss_f32(_mm512_extractf32x4_ps(both, 2));
}

// One group to unsigned bytes; beyond `size` zeros up to a multiple of 4.
inline void quantize(const float* x, int64_t size, uint8_t* u, float* step, float* low) {
    __m512 least_of = _mm512_set1_ps(__builtin_inff());
    __m512 most_of = _mm512_set1_ps(-__builtin_inff());
    __mmask16 unordered = 0;
    for (int64_t k = 0; k < size; k += 16) {
        const __mmask16 here = lanes(size - k);
        const __m512 v = _mm512_maskz_loadu_ps(here, x + k);
        least_of = _mm512_mask_min_ps(least_of, here, least_of, v);
        most_of = _mm512_mask_max_ps(most_of, here, most_of, v);
        unordered |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    }
    float most, first;
    greatest(most_of, _mm512_sub_ps(_mm512_setzero_ps(), least_of), &most, &first);
    first = -first;
    const float span = most - first;
    const float inverse = span > 0 ? 255.0f / span : 0.0f;
    // what is not a number must be seen in the output
    *step = unordered ? __builtin_nanf("") : span / 255.0f;
    *low = first;
    for (int64_t k = 0; k < size; k += 16) {
        const __mmask16 here = lanes(size - k);
        const __m512 v = _mm512_maskz_loadu_ps(here, x + k);
        const __m512 scaled =
            _mm512_mul_ps(_mm512_sub_ps(v, _mm512_set1_ps(first)), _mm512_set1_ps(inverse));
        const __m512i q = _mm512_maskz_cvtps_epi32(here, scaled);
        if (size - k >= 16)
            _mm_storeu_si128((__m128i*)(u + k), _mm512_cvtusepi32_epi8(q));
        else
            _mm512_mask_cvtusepi32_storeu_epi8(u + k, lanes(4 * up(size - k, 4)), q);
    }
}

// sums [R, PANEL] += one group of `steps` times four inputs, of R rows whose bytes lie `stride` apart
template <int R>
void group_tile(const uint8_t* u, int64_t stride, int64_t steps, const uint8_t* w,
                const float* scale, const float* lean, const float* step, const float* low,
                int64_t groups, float* sums) {
    __m512i total[R][4];
    UNROLLED for (int r = 0; r < R; ++r)
        UNROLLED for (int c = 0; c < 4; ++c) total[r][c] = Bytes::zero();
    multiply<Bytes, R>(u, stride, steps, w, total);
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

typedef void (*Tile)(const uint8_t*, int64_t, int64_t, const uint8_t*, const float*, const float*,
                     const float*, const float*, int64_t, float*);
const Tile TILES[TILE + 1] = {nullptr,       group_tile<1>, group_tile<2>, group_tile<3>,
                              group_tile<4>, group_tile<5>, group_tile<6>};

void block(const Linear& layer, const float* x, int64_t rows, float* y, uint8_t* room) {
    Int8Rows taken(room, BLOCK, layer.inputs);
    for (int64_t r = 0; r < rows; ++r) taken.take(r, x + r * layer.inputs);
    alignas(64) float sums[BLOCK * PANEL];
    put(layer, taken, rows, sums, y, layer.outputs);
}

}  // namespace

int64_t Int8Rows::bytes(int64_t rows, int64_t inputs) {
    return rows * up(inputs, GROUP) * (GROUP + 8);
}

Int8Rows::Int8Rows(uint8_t* room, int64_t rows, int64_t inputs)
    : inputs(inputs),
      groups(up(inputs, GROUP)),
      u(room),
      step((float*)(room + rows * groups * GROUP)),
      low(step + rows * groups) {}

void Int8Rows::take(int64_t i, const float* x) {
    for (int64_t g = 0; g < groups; ++g)
        take_group(i, g, x + g * GROUP, least(GROUP, inputs - g * GROUP));
}

void Int8Rows::take_group(int64_t i, int64_t g, const float* x, int64_t size) {
    const int64_t at = i * groups + g;
    if (size == GROUP)  // most: the compiler unrolls it
        quantize(x, GROUP, u + at * GROUP, step + at, low + at);
    else
        quantize(x, size, u + at * GROUP, step + at, low + at);
}

void Int8Rows::multiply(const Linear& layer, int64_t p, int64_t rows, float* sums) const {
    const int64_t width = 4 * up(inputs, 4);
    const uint8_t* w = (const uint8_t*)layer.weight + p * width * PANEL;
    memset(sums, 0, sizeof(float) * rows * PANEL);
    for (int64_t first = 0; first < rows; first += BLOCK) {
        const int64_t end = least(rows, first + BLOCK);
        for (int64_t g = 0; g < groups; ++g) {
            const int64_t steps = least(GROUP, width - g * GROUP) / 4;
            const int64_t at = (p * groups + g) * PANEL;
            for (int64_t r = first; r < end; r += TILE) {
                const int64_t one = r * groups + g;
                TILES[least(TILE, end - r)](u + one * GROUP, groups * GROUP, steps,
                                            w + g * GROUP * PANEL, layer.scale + at,
                                            layer.lean + at, step + one, low + one, groups,
                                            sums + r * PANEL);
            }
        }
    }
}

int64_t int8_room(int64_t inputs) { return Int8Rows::bytes(BLOCK, inputs); }

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

void int8_linear(const Linear& layer, const float* x, int64_t rows, float* y, uint8_t* room,
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
