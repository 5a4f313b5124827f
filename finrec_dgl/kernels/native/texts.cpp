// What a BERT does between its linear layers, over texts laid end to end without padding.
#include "texts.h"

#include "avx512.h"

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

// One head of one text: `length` tokens whose rows lie `stride` apart, `width` columns.
void attend_head(const float* q, const float* k, const float* v, int64_t length, int64_t width,
                 int64_t stride, float scale, float* out) {
    alignas(64) float turned[TEXT_WIDTH * TEXT_LENGTH];  // keys by column
    alignas(64) float score[ROWS][TEXT_LENGTH];
    const int64_t room = (length + 15) / 16 * 16;
    for (int64_t j = 0; j < room; ++j)
        for (int64_t w = 0; w < width; ++w)
            turned[w * room + j] = j < length ? k[j * stride + w] * scale : 0.0f;
    for (int64_t i = 0; i < length; i += ROWS) {
        const int64_t rows = least(ROWS, length - i);
        const float* query[ROWS];
        for (int64_t r = 0; r < ROWS; ++r) query[r] = q + (i + least(r, rows - 1)) * stride;
        __m512 top[ROWS];
        UNROLLED for (int r = 0; r < ROWS; ++r) top[r] = _mm512_set1_ps(-__builtin_inff());
        for (int64_t j = 0; j < room; j += 16) {
            __m512 sum[ROWS];
            UNROLLED for (int r = 0; r < ROWS; ++r) sum[r] = _mm512_setzero_ps();
            for (int64_t w = 0; w < width; ++w) {
                const __m512 key = _mm512_load_ps(turned + w * room + j);
                UNROLLED for (int r = 0; r < ROWS; ++r)
                    sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(query[r][w]), key, sum[r]);
            }
            const __mmask16 here = lanes(length - j);
            UNROLLED for (int r = 0; r < ROWS; ++r) {
                top[r] = _mm512_mask_max_ps(top[r], here, top[r], sum[r]);
                _mm512_store_ps(score[r] + j, sum[r]);
            }
        }
        float inverse[ROWS];
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(top[r]));
            __m512 total = _mm512_setzero_ps();
            for (int64_t j = 0; j < room; j += 16) {
                const __m512 e = _mm512_maskz_mov_ps(
                    lanes(length - j),
                    exponential(_mm512_sub_ps(_mm512_load_ps(score[r] + j), most)));
                total = _mm512_add_ps(total, e);
                _mm512_store_ps(score[r] + j, e);
            }
            inverse[r] = 1.0f / _mm512_reduce_add_ps(total);
        }
        for (int64_t w = 0; w < width; w += 16) {
            __m512 sum[ROWS];
            UNROLLED for (int r = 0; r < ROWS; ++r) sum[r] = _mm512_setzero_ps();
            for (int64_t j = 0; j < length; ++j) {
                const __m512 value = _mm512_loadu_ps(v + j * stride + w);
                UNROLLED for (int r = 0; r < ROWS; ++r)
                    sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(score[r][j]), value, sum[r]);
            }
            for (int64_t r = 0; r < rows; ++r)
                _mm512_storeu_ps(out + (i + r) * stride + w,
                                 _mm512_mul_ps(sum[r], _mm512_set1_ps(inverse[r])));
        }
    }
}

}  // namespace

void text_attend(const float* q, const float* k, const float* v, const int64_t* starts,
                 int64_t texts, int64_t heads, int64_t width, float scale, float* out,
                 int threads) {
    const int64_t stride = heads * width;
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads)
    for (int64_t one = 0; one < texts * heads; ++one) {
        const int64_t text = one / heads;
        const int64_t at = starts[text] * stride + one % heads * width;
        attend_head(q + at, k + at, v + at, starts[text + 1] - starts[text], width, stride, scale,
                    out + at);
    }
}

void text_add_norm(const float* x, const float* y, int64_t rows, int64_t width, const float* gain,
                   const float* bias, float epsilon, float* out, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t at = i * width;
        __m512 total = _mm512_setzero_ps();
        for (int64_t c = 0; c < width; c += 16) {
            const __mmask16 here = lanes(width - c);
            const __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(here, x + at + c),
                                             _mm512_maskz_loadu_ps(here, y + at + c));
            _mm512_mask_storeu_ps(out + at + c, here, sum);
            total = _mm512_add_ps(total, sum);
        }
        const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) / float(width));
        __m512 squares = _mm512_setzero_ps();
        for (int64_t c = 0; c < width; c += 16) {
            const __mmask16 here = lanes(width - c);
            const __m512 off =
                _mm512_maskz_sub_ps(here, _mm512_maskz_loadu_ps(here, out + at + c), mean);
            squares = _mm512_fmadd_ps(off, off, squares);
        }
        const float variance = _mm512_reduce_add_ps(squares) / float(width);
        const __m512 inverse = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + epsilon));
        for (int64_t c = 0; c < width; c += 16) {
            const __mmask16 here = lanes(width - c);
            const __m512 off = _mm512_sub_ps(_mm512_maskz_loadu_ps(here, out + at + c), mean);
            const __m512 scaled = _mm512_mul_ps(off, inverse);
            _mm512_mask_storeu_ps(out + at + c, here,
                                  _mm512_fmadd_ps(scaled, _mm512_maskz_loadu_ps(here, gain + c),
                                                  _mm512_maskz_loadu_ps(here, bias + c)));
        }
    }
}
