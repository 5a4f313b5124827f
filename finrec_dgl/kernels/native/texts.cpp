// What a BERT does between its linear layers, over one text or one token.
#include "texts.h"

namespace {

constexpr int64_t ROWS = 4;  // queries whose sums stay in registers together

// exp(x) for x <= 0 to about a unit in the last place; NaN stays NaN, being the second of the two
inline __m512 exponential(__m512 x) {
    x = _mm512_max_ps(_mm512_set1_ps(-100.0f), x);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

// sums [ROWS, C vectors] of row[r][k] times the vectors at `from`, `stride` apart, k < size
template <int C>
inline __attribute__((always_inline)) void multiply(const float* const (&row)[ROWS], int64_t size,
                                                    const float* from, int64_t stride,
                                                    __m512 (&sum)[ROWS][C]) {
    UNROLLED for (int r = 0; r < ROWS; ++r)
        UNROLLED for (int c = 0; c < C; ++c) sum[r][c] = _mm512_setzero_ps();
    for (int64_t k = 0; k < size; ++k) {
        __m512 v[C];
        UNROLLED for (int c = 0; c < C; ++c) v[c] = _mm512_loadu_ps(from + k * stride + 16 * c);
        UNROLLED for (int r = 0; r < ROWS; ++r)
            UNROLLED for (int c = 0; c < C; ++c)
                sum[r][c] = _mm512_fmadd_ps(_mm512_set1_ps(row[r][k]), v[c], sum[r][c]);
    }
}

// score [ROWS] at 16 C keys from j on, and the greatest of those that are there
template <int C>
inline void score_keys(const float* const (&query)[ROWS], int64_t width, const float* turned,
                       int64_t room, int64_t j, int64_t length, float (*score)[TEXT_LENGTH],
                       __m512 (&top)[ROWS]) {
    __m512 sum[ROWS][C];
    multiply<C>(query, width, turned + j, room, sum);
    UNROLLED for (int c = 0; c < C; ++c) {
        const __mmask16 here = lanes(length - j - 16 * c);
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            top[r] = _mm512_mask_max_ps(top[r], here, top[r], sum[r][c]);
            _mm512_store_ps(score[r] + j + 16 * c, sum[r][c]);
        }
    }
}

// out [rows] = the values under `score`, at 16 C columns
template <int C>
inline void mix_values(const float* const (&score)[ROWS], int64_t length, const float* v,
                       int64_t stride, const float* inverse, int64_t rows, float* out) {
    __m512 sum[ROWS][C];
    multiply<C>(score, length, v, stride, sum);
    UNROLLED for (int r = 0; r < ROWS; ++r)
        if (r < rows)
            UNROLLED for (int c = 0; c < C; ++c)
                _mm512_storeu_ps(out + r * stride + 16 * c,
                                 _mm512_mul_ps(sum[r][c], _mm512_set1_ps(inverse[r])));
}

// turned [width, room] = the keys by column, times `scale`, zero beyond `length`
void turn_keys(const float* k, int64_t length, int64_t width, int64_t stride, float scale,
               float* turned, int64_t room) {
    for (int64_t j = 0; j < room; j += 16)
        for (int64_t w = 0; w < width; w += 16) {
            __m512i row[16];
            UNROLLED for (int i = 0; i < 16; ++i)
                row[i] = j + i < length ? _mm512_loadu_si512(k + (j + i) * stride + w)
                                        : _mm512_setzero_si512();
            turn(row);
            UNROLLED for (int i = 0; i < 16; ++i)
                _mm512_store_ps(turned + (w + i) * room + j,
                                _mm512_mul_ps(_mm512_castsi512_ps(row[i]), _mm512_set1_ps(scale)));
        }
}

void attend_head(float* q, const float* k, const float* v, int64_t length, int64_t width,
                 int64_t stride, float scale) {
    alignas(64) float turned[TEXT_WIDTH * TEXT_LENGTH];
    alignas(64) float score[ROWS][TEXT_LENGTH];
    const int64_t room = up(length, 16) * 16;
    turn_keys(k, length, width, stride, scale, turned, room);
    for (int64_t i = 0; i < length; i += ROWS) {
        const int64_t rows = least(ROWS, length - i);
        const float* query[ROWS];
        const float* weight[ROWS];
        __m512 top[ROWS];
        float inverse[ROWS];
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            query[r] = q + (i + least(r, rows - 1)) * stride;
            weight[r] = score[r];
            top[r] = _mm512_set1_ps(-__builtin_inff());
        }
        int64_t j = 0;
        for (; j + 32 <= room; j += 32)
            score_keys<2>(query, width, turned, room, j, length, score, top);
        if (j < room) score_keys<1>(query, width, turned, room, j, length, score, top);
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(top[r]));
            __m512 total = _mm512_setzero_ps();
            for (j = 0; j < room; j += 16) {
                const __m512 e = _mm512_maskz_mov_ps(
                    lanes(length - j),
                    exponential(_mm512_sub_ps(_mm512_load_ps(score[r] + j), most)));
                total = _mm512_add_ps(total, e);
                _mm512_store_ps(score[r] + j, e);
            }
            inverse[r] = 1.0f / _mm512_reduce_add_ps(total);
        }
        // the queries of these rows are not read again
        float* out = q + i * stride;
        int64_t w = 0;
        for (; w + 32 <= width; w += 32)
            mix_values<2>(weight, length, v + w, stride, inverse, rows, out + w);
        if (w < width) mix_values<1>(weight, length, v + w, stride, inverse, rows, out + w);
    }
}

}  // namespace

void text_attend(float* q, const float* k, const float* v, int64_t length, int64_t heads,
                 int64_t width, int64_t stride, float scale) {
    for (int64_t h = 0; h < heads; ++h)
        attend_head(q + h * width, k + h * width, v + h * width, length, width, stride, scale);
}

void text_norm(float* x, int64_t width, const float* gain, const float* bias, float epsilon) {
    __m512 total = _mm512_setzero_ps();
    for (int64_t c = 0; c < width; c += 16)
        total = _mm512_add_ps(total, _mm512_maskz_loadu_ps(lanes(width - c), x + c));
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) / float(width));
    __m512 squares = _mm512_setzero_ps();
    for (int64_t c = 0; c < width; c += 16) {
        const __mmask16 here = lanes(width - c);
        const __m512 off = _mm512_maskz_sub_ps(here, _mm512_maskz_loadu_ps(here, x + c), mean);
        squares = _mm512_fmadd_ps(off, off, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / float(width);
    const __m512 inverse = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + epsilon));
    for (int64_t c = 0; c < width; c += 16) {
        const __mmask16 here = lanes(width - c);
        const __m512 off = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, x + c), mean);
        const __m512 scaled = _mm512_mul_ps(off, inverse);
        _mm512_mask_storeu_ps(x + c, here,
                              _mm512_fmadd_ps(scaled, _mm512_maskz_loadu_ps(here, gain + c),
                                              _mm512_maskz_loadu_ps(here, bias + c)));
    }
}
