// A BERT's forward pass: each thread takes some texts through all layers.
//
// So threads wait for each other only at the end, and what lies between two layers stays in a cache.
// What a layer does to a row depends on its own text alone: neither threads nor neighbours change it.
#include "bert.h"

#include "dense.h"
#include "int8.h"
#include "texts.h"

namespace {

// tokens that are taken through a layer together: weights are read once for them
constexpr int64_t TOKENS = 192;

int64_t aligned(int64_t bytes) { return up(bytes, 64) * 64; }

// The memory of one thread.
template <class Rows>
struct Room {
    Rows narrow;  // inputs of most layers
    Rows wide;    // of the one that narrows
    float* asked;  // [tokens, 3 hidden]: queries, keys and values
    float* sums;   // [tokens, PANEL]

    static int64_t bytes(const Bert& bert, int64_t tokens) {
        return aligned(Rows::bytes(tokens, bert.hidden)) + aligned(Rows::bytes(tokens, bert.wide)) +
               aligned(4 * tokens * 3 * bert.hidden) + aligned(4 * tokens * PANEL);
    }
    Room(const Bert& bert, int64_t tokens, uint8_t* at)
        : narrow(at, tokens, bert.hidden),
          wide(at += aligned(Rows::bytes(tokens, bert.hidden)), tokens, bert.wide),
          asked((float*)(at += aligned(Rows::bytes(tokens, bert.wide)))),
          sums((float*)(at + aligned(4 * tokens * 3 * bert.hidden))) {}
};

#ifndef FINREC_NO_BF16
// Rows in two forms: layers whose weights have scales read 8 bits, the others bfloat16.
class MixedRows {
  public:
    static int64_t bytes(int64_t rows, int64_t inputs) {
        return aligned(Int8Rows::bytes(rows, inputs)) + DenseRows<Halves>::bytes(rows, inputs);
    }
    MixedRows(uint8_t* room, int64_t rows, int64_t inputs)
        : whole(room, rows, inputs),
          half(room + aligned(Int8Rows::bytes(rows, inputs)), rows, inputs) {}

    void take(int64_t i, const float* x) {
        whole.take(i, x);
        half.take(i, x);
    }
    void take_group(int64_t i, int64_t g, const float* x, int64_t size) {
        whole.take_group(i, g, x, size);
        half.take_group(i, g, x, size);
    }
    void multiply(const Linear& layer, int64_t p, int64_t rows, float* sums) const {
        if (layer.scale)
            whole.multiply(layer, p, rows, sums);
        else
            half.multiply(layer, p, rows, sums);
    }

  private:
    Int8Rows whole;
    DenseRows<Halves> half;
};
#endif

// x [rows, outputs] = norm(the layer's outputs + x), and `out` the same as the next one's inputs
template <class Rows>
void add_norm(const Linear& layer, const Rows& in, int64_t rows, float* sums, const Norm& norm,
              float epsilon, float* x, Rows& out) {
    const int64_t width = layer.outputs;
    for (int64_t p = 0; p * PANEL < width; ++p) {
        in.multiply(layer, p, rows, sums);
        each_sum(layer, p, rows, sums, [=](int64_t r, int64_t n, __m512 v, __mmask16 here) {
            float* to = x + r * width + n;
            _mm512_mask_storeu_ps(to, here, _mm512_add_ps(_mm512_maskz_loadu_ps(here, to), v));
        });
    }
    for (int64_t r = 0; r < rows; ++r) {
        text_norm(x + r * width, width, norm.gain, norm.bias, epsilon);
        out.take(r, x + r * width);
    }
}

// `out` = gelu(the layer's outputs) as the next one's inputs: a panel is one of their groups
template <class Rows>
void widen(const Linear& layer, const Rows& in, int64_t rows, float* sums, Rows& out) {
    static_assert(PANEL == GROUP, "a panel is no group");
    for (int64_t p = 0; p * PANEL < layer.outputs; ++p) {
        in.multiply(layer, p, rows, sums);
        each_sum(layer, p, rows, sums, [=](int64_t r, int64_t n, __m512 v, __mmask16) {
            _mm512_storeu_ps(sums + r * PANEL + n % PANEL, gelu(v));
        });
        const int64_t size = least(PANEL, layer.outputs - p * PANEL);
        for (int64_t r = 0; r < rows; ++r) out.take_group(r, p, sums + r * PANEL, size);
    }
}

Linear linear(int64_t outputs, int64_t inputs, const void* const* at) {
    return {outputs, inputs, at[0], (const float*)at[1], (const float*)at[2], (const float*)at[3]};
}

Norm norm(const void* const* at) { return {(const float*)at[0], (const float*)at[1]}; }

BertLayer bert_layer(const Bert& bert, const void* const* at) {
    const int64_t h = bert.hidden;
    return {linear(h, h, at),
            linear(h, h, at + 4),
            linear(h, h, at + 8),
            linear(h, h, at + 12),
            norm(at + 16),
            linear(bert.wide, h, at + 18),
            linear(h, bert.wide, at + 22),
            norm(at + 26)};
}

// texts [0, texts) of `starts`, whose rows are x
template <class Rows>
void forward(const Bert& bert, const void* const* addresses, float* x, const int64_t* starts,
             int64_t texts, Room<Rows>& room) {
    const int64_t rows = starts[texts] - starts[0], h = bert.hidden, width = h / bert.heads;
    for (int64_t text = 0, r = 0; text < texts; ++text)
        for (int64_t at = 0; at < starts[text + 1] - starts[text]; ++at, ++r) {
            float* row = x + r * h;
            for (int64_t c = 0; c < h; ++c) row[c] += bert.place[at * h + c];
            text_norm(row, h, bert.embedded.gain, bert.embedded.bias, bert.epsilon);
            room.narrow.take(r, row);
        }
    for (int64_t l = 0; l < bert.layers; ++l) {
        const BertLayer layer = bert_layer(bert, addresses + l * LAYER_ADDRESSES);
        put(layer.query, room.narrow, rows, room.sums, room.asked, 3 * h);
        put(layer.key, room.narrow, rows, room.sums, room.asked + h, 3 * h);
        put(layer.value, room.narrow, rows, room.sums, room.asked + 2 * h, 3 * h);
        for (int64_t text = 0; text < texts; ++text) {
            float* q = room.asked + (starts[text] - starts[0]) * 3 * h;
            text_attend(q, q + h, q + 2 * h, starts[text + 1] - starts[text], bert.heads, width,
                        3 * h, 1.0f / __builtin_sqrtf(float(width)));
        }
        for (int64_t r = 0; r < rows; ++r) room.narrow.take(r, room.asked + r * 3 * h);
        add_norm(layer.mixed, room.narrow, rows, room.sums, layer.attended, bert.epsilon, x,
                 room.narrow);
        widen(layer.widen, room.narrow, rows, room.sums, room.wide);
        add_norm(layer.narrow, room.wide, rows, room.sums, layer.done, bert.epsilon, x,
                 room.narrow);
    }
}

// the first text that starts at `token` or later
int64_t text_at(const int64_t* starts, int64_t texts, int64_t token) {
    int64_t low = 0, high = texts;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (starts[middle] < token)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

template <class Rows>
void forward_all(const Bert& bert, const void* const* addresses, float* x, const int64_t* starts,
                 int64_t texts, int64_t longest, uint8_t* room, int threads) {
    const int64_t tokens = starts[texts];
    // few enough that every thread has some
    const int64_t some = least(TOKENS, up(tokens, threads));
    const int64_t size = Room<Rows>::bytes(bert, TOKENS + longest);
    int64_t next = 0;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int64_t t = 0; t < threads; ++t) {
        Room<Rows> mine(bert, some + longest, room + t * size);
        for (;;) {
            const int64_t from = some * __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
            if (from >= tokens) break;
            const int64_t first = text_at(starts, texts, from);
            const int64_t end = text_at(starts, texts, least(tokens, from + some));
            if (first < end)
                forward(bert, addresses, x + starts[first] * bert.hidden, starts + first,
                        end - first, mine);
        }
    }
}

}  // namespace

#ifdef FINREC_NO_BF16
typedef DenseRows<Singles> HalfRows, MixedRows;  // nobody asks for them
bool bert_has_halves() { return false; }
#else
typedef DenseRows<Halves> HalfRows;
bool bert_has_halves() { return true; }
#endif

int64_t bert_room(const Bert& bert, int64_t longest) {
    const int64_t tokens = TOKENS + longest;
    if (bert.precision == Precision::INT8) return Room<Int8Rows>::bytes(bert, tokens);
    if (bert.precision == Precision::MIXED) return Room<MixedRows>::bytes(bert, tokens);
    if (bert.precision == Precision::HALF) return Room<HalfRows>::bytes(bert, tokens);
    return Room<DenseRows<Singles>>::bytes(bert, tokens);
}

void bert_forward(const Bert& bert, const void* const* addresses, float* x, const int64_t* starts,
                  int64_t texts, int64_t longest, uint8_t* room, int threads) {
    if (!texts) return;
    if (bert.precision == Precision::INT8)
        forward_all<Int8Rows>(bert, addresses, x, starts, texts, longest, room, threads);
    else if (bert.precision == Precision::MIXED)
        forward_all<MixedRows>(bert, addresses, x, starts, texts, longest, room, threads);
    else if (bert.precision == Precision::HALF)
        forward_all<HalfRows>(bert, addresses, x, starts, texts, longest, room, threads);
    else
        forward_all<DenseRows<Singles>>(bert, addresses, x, starts, texts, longest, room, threads);
}
