// What a layer of attention does by node, in blocks of rows that stay in a cache: the gate that
// fuses text with graph, and the mixing of relations. Compiled once per instruction set.
//
// Gate:     g = sigmoid(V [t || h] + c),  0 for a node without text
//           v = g * W_text t + (1 - g) * W_graph h,  s = A v
//           and the same nodes' scores as receivers, B h
// backward: G = W_graph h is made anew, so g * (W_text t - W_graph h) = v - G takes no division:
//           dv' = dv + A^T ds,  dlogit = dv' (v - G) (1 - g)
//           the maps get g dv' and (1 - g) dv'
// Mixing:   p^r = tanh(W o^r + b^r),  a = softmax over the relations that are present of q . p^r
//           out = sum over r of a^r o^r + W_own h,  then ReLU unless it is the last layer
//
// Nothing of rows x columns is kept between the passes but what goes in and comes out. Gradients of
// weights are summed by part of the rows, as many parts at any number of threads, and the parts in
// their order: the number of threads changes no bit.
#include "lanes.h"

namespace {

constexpr int BLOCK = 48;  // rows at once: with 64 columns a block is 12 KB in float32
constexpr int MOST_WIDTH = 256;
constexpr int MOST_RELATIONS = 16;

// A product's sides: element (m, k) of the left is a[m * by_row + k * by_term], of the right
// w[k * width + n]. So rows times weights, and the gradient of weights, are one routine.
template <class T>
struct Product {
    const T* a;
    int64_t by_row, by_term;
    const T* w;
    int64_t width;
    T* out;
    int64_t out_width;
    int64_t rows, columns, terms;
    bool add;
};

template <class T, int L, int MR, int NR>
inline void tile(const Product<T>& p, int64_t m, int64_t n) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    V sum[MR][NR];
    T* out = p.out + m * p.out_width + n;
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NR; ++j)
            sum[i][j] = p.add ? Ln::load(out + i * p.out_width + j * L) : V{};
    const T* a = p.a + m * p.by_row;
    const T* w = p.w + n;
    for (int64_t k = 0; k < p.terms; ++k, a += p.by_term, w += p.width) {
        V right[NR];
#pragma GCC unroll 4
        for (int j = 0; j < NR; ++j) right[j] = Ln::load(w + j * L);
#pragma GCC unroll 8
        for (int i = 0; i < MR; ++i) {
            const V left = Ln::all(a[i * p.by_row]);
#pragma GCC unroll 4
            for (int j = 0; j < NR; ++j) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NR; ++j) Ln::store(out + i * p.out_width + j * L, sum[i][j]);
}

template <class T, int L, int NR>
inline void columns_of(const Product<T>& p, int64_t n) {
    constexpr int MOST = FINREC_BYTES == 64 ? 6 : 4;  // rows whose sums fit the registers
    int64_t m = 0;
    for (; m + MOST <= p.rows; m += MOST) tile<T, L, MOST, NR>(p, m, n);
    for (; m + 2 <= p.rows; m += 2) tile<T, L, 2, NR>(p, m, n);
    for (; m < p.rows; ++m) tile<T, L, 1, NR>(p, m, n);
}

template <class T, int L>
void multiply(const Product<T>& p) {
    constexpr int WIDE = FINREC_BYTES == 64 ? 4 : 2;
    int64_t n = 0;
    for (; n + WIDE * L <= p.columns; n += WIDE * L) columns_of<T, L, WIDE>(p, n);
    for (; n < p.columns; n += L) columns_of<T, L, 1>(p, n);
}

// out [rows, n] (+)= a [rows, k] w [k, n], whose rows are `width` apart
template <class T, int L>
inline void forth(int64_t rows, int64_t k, int64_t n, const T* a, const T* w, int64_t width, T* out,
                  bool add) {
    multiply<T, L>({a, k, 1, w, width, out, n, rows, n, k, add});
}

// out [m, n], its rows `width` apart, += d^T x, of d [rows, m] and x [rows, n]
template <class T, int L>
inline void back(int64_t rows, int64_t m, int64_t n, const T* d, const T* x, T* out, int64_t width) {
    multiply<T, L>({d, 1, m, x, n, out, width, m, n, rows, true});
}

template <class T, int L>
inline typename Lanes<T, L>::V magnitude(typename Lanes<T, L>::V x) {
    return x < typename Lanes<T, L>::V{} ? -x : x;
}

template <class T, int L>
inline typename Lanes<T, L>::V sigmoid(typename Lanes<T, L>::V x) {
    typedef typename Lanes<T, L>::V V;
    const V one = V{} + T(1), e = exponential<L>(-magnitude<T, L>(x));
    return (x < V{} ? e : one) / (one + e);
}

// near 0 by x + x^3 times a rational function (Cephes, by Stephen Moshier), else by exp
template <int L>
inline typename Lanes<float, L>::V near_tanh(typename Lanes<float, L>::V x) {
    typedef typename Lanes<float, L>::V V;
    const V z = x * x;
    V p = z * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    return x + x * z * p;
}

template <int L>
inline typename Lanes<double, L>::V near_tanh(typename Lanes<double, L>::V x) {
    typedef typename Lanes<double, L>::V V;
    const V z = x * x;
    V p = z * -9.64399179425052238628e-1 - 9.92877231001918586564e1;
    p = p * z - 1.61468768441708447952e3;
    V q = z + 1.12811678491632931402e2;
    q = q * z + 2.23548839060100448583e3;
    q = q * z + 4.84406305325125486048e3;
    return x + x * z * p / q;
}

template <class T, int L>
inline typename Lanes<T, L>::V hyperbolic(typename Lanes<T, L>::V x) {
    typedef typename Lanes<T, L>::V V;
    const V one = V{} + T(1), size = magnitude<T, L>(x);
    const V e = exponential<L>(size * T(-2));
    const V far = (one - e) / (one + e);
    return size < V{} + T(0.625) ? near_tanh<L>(x) : (x < V{} ? -far : far);
}

template <class T>
struct Block {
    const T* const* outs;
    const uint8_t* present;
    int64_t row, rows;
};

// Blocks of rows, dealt out in parts; `body` gets the part, the first row and how many.
template <class F>
inline void each_block(int64_t n_rows, int threads, const F& body) {
    (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
#endif
    for (int64_t part = 0; part < NODE_PARTS; ++part) {
        const int64_t end = n_rows * (part + 1) / NODE_PARTS;
        for (int64_t row = n_rows * part / NODE_PARTS; row < end; row += BLOCK)
            body(part, row, end - row < BLOCK ? end - row : BLOCK);
    }
}

// total [size] = the sum of what the parts hold, `stride` apart, in their order
template <class T>
inline void add_parts(const T* room, int64_t stride, int64_t size, T* total) {
    for (int64_t k = 0; k < size; ++k) total[k] = room[k];
    for (int64_t part = 1; part < NODE_PARTS; ++part)
        for (int64_t k = 0; k < size; ++k) total[k] += room[part * stride + k];
}

template <class T, int L>
inline void start_rows(int64_t rows, int64_t dim, const T* row, T* to) {
    for (int64_t b = 0; b < rows; ++b)
        for (int64_t c = 0; c < dim; c += L)
            Lanes<T, L>::store(to + b * dim + c, Lanes<T, L>::load(row + c));
}

// The columns that the scores of receivers are made in: whole vectors, whatever the lanes.
template <class T>
inline int64_t filled(int64_t columns) {
    constexpr int64_t whole = 64 / sizeof(T);
    return (columns + whole - 1) / whole * whole;
}

inline int64_t receivers_in(int64_t rows, int64_t row, int64_t received) {
    const int64_t left = received - row;
    return left < 0 ? 0 : (left < rows ? left : rows);
}

template <class T, int L>
void gate_rows(const GateShape& s, const GateWeights<T>& w, const Gate<T>& g) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const int64_t dim = s.dim, heads = s.heads, width = dim / heads;
    const int64_t columns = filled<T>(s.owns * heads);
    each_block(s.rows, s.threads, [&](int64_t, int64_t row, int64_t rows) {
        alignas(64) T logit[BLOCK * MOST_WIDTH], from_text[BLOCK * MOST_WIDTH];
        const T *t = g.text + row * dim, *h = g.state + row * dim;
        T* v = g.value + row * dim;
        start_rows<T, L>(rows, dim, w.bias, logit);
        forth<T, L>(rows, dim, dim, t, w.gate, dim, logit, true);
        forth<T, L>(rows, dim, dim, h, w.gate + dim * dim, dim, logit, true);
        forth<T, L>(rows, dim, dim, t, w.text, dim, from_text, false);
        forth<T, L>(rows, dim, dim, h, w.graph, dim, v, false);
        for (int64_t b = 0; b < rows; ++b) {
            const T has = T(g.has_text[row + b]);
            for (int64_t at = b * dim; at < (b + 1) * dim; at += L) {
                const V share = sigmoid<T, L>(Ln::load(logit + at)) * has;
                const V graph = Ln::load(v + at);
                Ln::store(v + at, graph + share * (Ln::load(from_text + at) - graph));
            }
            for (int64_t head = 0; head < heads; ++head)
                g.score[(row + b) * heads + head] =
                    inner<T, L>(v + b * dim + head * width, w.attend + head * width, width);
        }
        T* own = logit;
        const int64_t receivers = receivers_in(rows, row, s.received);
        if (s.owns) forth<T, L>(receivers, dim, columns, h, w.own, columns, own, false);
        for (int64_t r = 0; r < s.owns; ++r)
            for (int64_t b = 0; b < receivers; ++b)
                for (int64_t head = 0; head < heads; ++head)
                    g.own[r][(row + b) * heads + head] = own[b * columns + r * heads + head];
    });
}

template <class T, int L>
void gate_grad_rows(const GateShape& s, const GateWeights<T>& w, const Gate<T>& made,
                    const GateGrad<T>& g) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const int64_t dim = s.dim, width = s.dim / s.heads, square = dim * dim;
    const int64_t columns = s.owns * s.heads, size = 4 * square + (2 + columns) * dim;
    for (int64_t k = 0; k < NODE_PARTS * size; ++k) g.room[k] = 0;
    each_block(s.rows, s.threads, [&](int64_t part, int64_t row, int64_t rows) {
        alignas(64) T logit[BLOCK * MOST_WIDTH], to_text[BLOCK * MOST_WIDTH];
        alignas(64) T to_graph[BLOCK * MOST_WIDTH], spread[MOST_WIDTH];
        T* gate = g.room + part * size;
        T *text_map = gate + 2 * square, *graph_map = text_map + square;
        T *bias = graph_map + square, *attend = bias + dim, *own_map = attend + dim;
        const T *t = made.text + row * dim, *h = made.state + row * dim;
        start_rows<T, L>(rows, dim, w.bias, logit);
        forth<T, L>(rows, dim, dim, t, w.gate, dim, logit, true);
        forth<T, L>(rows, dim, dim, h, w.gate + square, dim, logit, true);
        forth<T, L>(rows, dim, dim, h, w.graph, dim, to_graph, false);
        for (int64_t b = 0; b < rows; ++b) {
            const T has = T(made.has_text[row + b]);
            const T* by = g.score + (row + b) * s.heads;
            for (int64_t head = 0; head < s.heads; ++head)
                for (int64_t c = head * width; c < (head + 1) * width; ++c) spread[c] = by[head];
            for (int64_t c = 0; c < dim; c += L) {
                const int64_t at = b * dim + c;
                const V v = Ln::load(made.value + row * dim + at), by_head = Ln::load(spread + c);
                const V dv =
                    Ln::load(g.value + row * dim + at) + by_head * Ln::load(w.attend + c);
                const V share = sigmoid<T, L>(Ln::load(logit + at)) * has;
                const V lifted = dv * share, rest = dv - lifted;
                const V slope = (v - Ln::load(to_graph + at)) * rest;
                Ln::store(logit + at, slope);
                Ln::store(to_text + at, lifted);
                Ln::store(to_graph + at, rest);
                Ln::store(bias + c, Ln::load(bias + c) + slope);
                Ln::store(attend + c, Ln::load(attend + c) + by_head * v);
            }
        }
        back<T, L>(rows, dim, dim, logit, t, gate, 2 * dim);
        back<T, L>(rows, dim, dim, logit, h, gate + dim, 2 * dim);
        back<T, L>(rows, dim, dim, to_text, t, text_map, dim);
        back<T, L>(rows, dim, dim, to_graph, h, graph_map, dim);
        if (g.to_state) {
            T* to = g.to_state + row * dim;
            forth<T, L>(rows, dim, dim, to_graph, w.graph_rows, dim, to, g.add);
            forth<T, L>(rows, dim, dim, logit, w.gate_rows + dim, 2 * dim, to, true);
        }
        if (g.to_text) {
            T* to = g.to_text + row * dim;
            forth<T, L>(rows, dim, dim, to_text, w.text_rows, dim, to, g.add);
            forth<T, L>(rows, dim, dim, logit, w.gate_rows, 2 * dim, to, true);
        }
        T* own = logit;
        const int64_t receivers = receivers_in(rows, row, s.received);
        for (int64_t r = 0; r < s.owns; ++r)
            for (int64_t b = 0; b < receivers; ++b)
                for (int64_t head = 0; head < s.heads; ++head)
                    own[b * columns + r * s.heads + head] = g.own[r][(row + b) * s.heads + head];
        back<T, L>(receivers, columns, dim, own, h, own_map, dim);
        if (g.to_state)
            forth<T, L>(receivers, columns, dim, own, w.own_rows, dim, g.to_state + row * dim, true);
    });
    add_parts(g.room, size, size, g.to_weights);
}

// tanh(W o^r + b^r) of a block [rows, dim], `step` from one relation's to the next, and by row and
// relation what the softmax gives, 0 for all where none is present.
template <class T, int L>
void weigh(const MixShape& s, const MixWeights<T>& w, const Block<T>& block, T* hidden,
           int64_t step, T* share) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const int64_t dim = s.dim, relations = s.relations, row = block.row, rows = block.rows;
    for (int64_t r = 0; r < relations; ++r) {
        T* p = hidden + r * step;
        start_rows<T, L>(rows, dim, w.bias + r * dim, p);
        forth<T, L>(rows, dim, dim, block.outs[r] + row * dim, w.transform, dim, p, true);
        for (int64_t b = 0; b < rows; ++b) {
            V sum = V{};
            for (int64_t c = 0; c < dim; c += L) {
                const V one = hyperbolic<T, L>(Ln::load(p + b * dim + c));
                Ln::store(p + b * dim + c, one);
                sum += one * Ln::load(w.query + c);
            }
            share[b * relations + r] = Ln::total(sum);
        }
    }
    for (int64_t b = 0; b < rows; ++b) {
        T* by = share + b * relations;
        T most = -__builtin_inf(), sum = 0;
        for (int64_t r = 0; r < relations; ++r)
            if (block.present[r * s.rows + row + b] && !(by[r] <= most)) most = by[r];
        for (int64_t r = 0; r < relations; ++r) {
            const bool there = block.present[r * s.rows + row + b];
            by[r] = there ? exponential<L>(Ln::all(by[r] - most))[0] : T(0);
            sum += by[r];
        }
        for (int64_t r = 0; r < relations && sum != T(0); ++r) by[r] /= sum;
    }
}

template <class T, int L>
void mix_rows(const MixShape& s, const MixWeights<T>& w, const Mix<T>& m) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const int64_t dim = s.dim, relations = s.relations;
    each_block(s.rows, s.threads, [&](int64_t, int64_t row, int64_t rows) {
        alignas(64) T hidden[BLOCK * MOST_WIDTH], share[BLOCK * MOST_RELATIONS];
        if (relations > 1)
            weigh<T, L>(s, w, {m.outs, m.present, row, rows}, hidden, 0, share);
        else
            for (int64_t b = 0; b < rows; ++b) share[b] = 1;
        T* to = m.mixed + row * dim;
        forth<T, L>(rows, dim, dim, m.state + row * dim, w.own, dim, to, false);
        for (int64_t b = 0; b < rows; ++b)
            for (int64_t at = b * dim; at < (b + 1) * dim; at += L) {
                V sum = Ln::load(to + at);
                for (int64_t r = 0; r < relations; ++r)
                    sum += Ln::load(m.outs[r] + row * dim + at) * share[b * relations + r];
                Ln::store(to + at, s.relu && sum <= V{} ? V{} : sum);
            }
    });
}

// With d the gradient of the sum before the ReLU:
//   da^r = d . o^r,  dw^r = a^r (da^r - sum over q of a^q da^q),  dp^r = dw^r q (1 - p^r p^r)
//   grad o^r = a^r d + W^T dp^r,  grad h = W_own^T d
template <class T, int L>
void mix_grad_rows(const MixShape& s, const MixWeights<T>& w, const Mix<T>& m,
                   const MixGrad<T>& g) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const int64_t dim = s.dim, relations = s.relations, square = dim * dim;
    const int64_t size = 2 * square + (relations + 1) * dim;
    const int64_t stride = size + relations * BLOCK * dim;
    for (int64_t part = 0; part < NODE_PARTS; ++part)
        for (int64_t k = 0; k < size; ++k) g.room[part * stride + k] = 0;
    each_block(s.rows, s.threads, [&](int64_t part, int64_t row, int64_t rows) {
        alignas(64) T share[BLOCK * MOST_RELATIONS], down[BLOCK * MOST_WIDTH];
        T *own = g.room + part * stride, *transform = own + square;
        T *bias = transform + square, *query = bias + relations * dim, *hidden = query + dim;
        for (int64_t at = 0; at < rows * dim; at += L) {
            const V d = Ln::load(g.mixed + row * dim + at);
            Ln::store(down + at, s.relu && Ln::load(m.mixed + row * dim + at) <= V{} ? V{} : d);
        }
        back<T, L>(rows, dim, dim, down, m.state + row * dim, own, dim);
        forth<T, L>(rows, dim, dim, down, w.own_rows, dim, g.state + row * dim, false);
        if (relations > 1)
            weigh<T, L>(s, w, {m.outs, m.present, row, rows}, hidden, BLOCK * dim, share);
        else
            for (int64_t b = 0; b < rows; ++b) share[b] = 1;
        for (int64_t b = 0; b < rows; ++b) {
            const T* by = share + b * relations;
            T each[MOST_RELATIONS], mean = 0;
            for (int64_t r = 0; r < relations && relations > 1; ++r) {
                each[r] = inner<T, L>(down + b * dim, m.outs[r] + (row + b) * dim, dim);
                mean += by[r] * each[r];
            }
            for (int64_t r = 0; r < relations; ++r) {
                T* to = g.outs[r] + (row + b) * dim;
                for (int64_t c = 0; c < dim; c += L)
                    Ln::store(to + c, Ln::load(down + b * dim + c) * by[r]);
                if (relations == 1) continue;
                const T lift = by[r] * (each[r] - mean);
                T* p = hidden + r * BLOCK * dim + b * dim;
                for (int64_t c = 0; c < dim; c += L) {
                    const V one = Ln::load(p + c);
                    const V slope = lift * Ln::load(w.query + c) * (T(1) - one * one);
                    Ln::store(query + c, Ln::load(query + c) + lift * one);
                    Ln::store(bias + r * dim + c, Ln::load(bias + r * dim + c) + slope);
                    Ln::store(p + c, slope);
                }
            }
        }
        for (int64_t r = 0; r < relations && relations > 1; ++r) {
            const T *slope = hidden + r * BLOCK * dim, *out = m.outs[r] + row * dim;
            back<T, L>(rows, dim, dim, slope, out, transform, dim);
            forth<T, L>(rows, dim, dim, slope, w.transform_rows, dim, g.outs[r] + row * dim, true);
        }
    });
    add_parts(g.room, stride, size, g.to_weights);
}

template <class T>
void gate(const GateShape& s, const GateWeights<T>& w, const Gate<T>& g) {
    gate_rows<T, FINREC_BYTES / sizeof(T)>(s, w, g);
}

// A draw is of the number's place and the seed alone, so that the gradient finds it again.
template <class T>
void drop(const Dropout& d, const T* x, T* out) {
    const T scale = T(d.kept_scale);
#ifdef _OPENMP
#pragma omp parallel for simd schedule(static) num_threads(d.threads) if (parallel : d.threads > 1)
#endif
    for (int64_t i = 0; i < d.size; ++i) {
        out[i] = mix(seeded(i, d.seed)) < d.dropped ? T(0) : x[i] * scale;
    }
}

template <class T>
void gate_grad(const GateShape& s, const GateWeights<T>& w, const Gate<T>& g,
               const GateGrad<T>& grad) {
    gate_grad_rows<T, FINREC_BYTES / sizeof(T)>(s, w, g, grad);
}

template <class T>
void mix_relations(const MixShape& s, const MixWeights<T>& w, const Mix<T>& m) {
    mix_rows<T, FINREC_BYTES / sizeof(T)>(s, w, m);
}

template <class T>
void mix_relations_grad(const MixShape& s, const MixWeights<T>& w, const Mix<T>& m,
                        const MixGrad<T>& g) {
    mix_grad_rows<T, FINREC_BYTES / sizeof(T)>(s, w, m, g);
}

}  // namespace

#define JOINED(name) name##_nodes
#define TABLE(name) JOINED(name)
extern const NodeTable TABLE(FINREC_VARIANT);
const NodeTable TABLE(FINREC_VARIANT) = {
    {drop<float>, gate<float>, gate_grad<float>, mix_relations<float>, mix_relations_grad<float>},
    {drop<double>, gate<double>, gate_grad<double>, mix_relations<double>, mix_relations_grad<double>},
};
