// Attention whose scores and messages depend on the edge; compiled once per instruction set.
//
// alpha_e = softmax over the edges e to i of LeakyReLU(s_j + d_i + b_e)
// out_i   = sum over the edges e to i of alpha_e m_e
// m_e     = t_j + k_e h_j,  or with a gate of edges  m_e = g_e t_j + (1 - g_e) k_e h_j,
// g_e     = sigmoid(logit_j + W f_e)
//
// Coefficients are kept by edge and head; messages, and gates, are made an edge at a time, forward
// by receiver and backward by sender, whose rows then stay in the first cache.
//
// Every row is summed by one thread in the order of its edges, and weights' gradients in parts of
// the senders that do not depend on the threads: their number changes no bit.
#include "messages.h"

#include <initializer_list>

#include "each_row.h"
#include "lanes.h"

// all in here is local to this object: the linker must not merge what other instruction sets made
namespace {

constexpr int MOST_COLUMNS = 4096;
constexpr int MOST_HEADS = 128;
constexpr int BUFFER = 1024;  // exponents that are taken at once
constexpr int AHEAD = 8;      // edges between the prefetch of a row and its use
constexpr int EDGES_AHEAD = 24;

// Ask for what arrays [n_edges, columns] hold of an edge that comes later: their order is the edges'
// own, not that of the rows.
template <class... Arrays>
inline void ask_edges(const Ordered& ordered, int64_t k, int64_t columns, const Arrays*... arrays) {
    const int64_t last = ordered.rows.n_edges - 1;
    const int64_t e = ordered.order[k + EDGES_AHEAD < last ? k + EDGES_AHEAD : last];
    (void)std::initializer_list<int>{
        (arrays ? __builtin_prefetch(arrays + e * columns) : void(), 0)...};
}

template <class T, int L>
inline T sum_of(const T* x, int64_t n) {
    typename Lanes<T, L>::V sum = {};
    int64_t c = 0;
    for (; c + L <= n; c += L) sum += Lanes<T, L>::load(x + c);
    T total = Lanes<T, L>::total(sum);
    for (; c < n; ++c) total += x[c];
    return total;
}

// exp of x [n] less, by head, `top`: in place, where the heads of as many edges as fit follow
template <class T, int L>
void exponentials(const ScoreShape& shape, const int32_t* order, int64_t count, const T* top,
                  T* alpha, T* sum) {
    alignas(64) T x[BUFFER + L];
    const int64_t heads = shape.heads, most = BUFFER / heads;
    for (int64_t from = 0; from < count; from += most) {
        const int64_t m = count - from < most ? count - from : most;
        for (int64_t n = 0; n < m; ++n)
            for (int64_t h = 0; h < heads; ++h)
                x[n * heads + h] = alpha[int64_t(order[from + n]) * heads + h] - top[h];
        for (int64_t k = m * heads; k < m * heads + L; ++k) x[k] = 0;
        for (int64_t k = 0; k < m * heads; k += L)
            Lanes<T, L>::store(x + k, exponential<L>(Lanes<T, L>::load(x + k)));
        for (int64_t n = 0; n < m; ++n)
            for (int64_t h = 0; h < heads; ++h) {
                alpha[int64_t(order[from + n]) * heads + h] = x[n * heads + h];
                sum[h] += x[n * heads + h];
            }
    }
}

template <class T>
inline T raw_score(const EdgeScores<T>& s, int64_t src, int64_t dst, int64_t edge) {
    return s.score_src[src] + s.score_dst[dst] + (s.score_edge ? s.score_edge[edge] : T(0));
}

template <class T>
void softmax(const Ordered& ordered, const ScoreShape& shape, const EdgeScores<T>& s) {
    constexpr int L = FINREC_BYTES / sizeof(T);
    const Rows& rows = ordered.rows;
    const int64_t heads = shape.heads;
    each_row(rows, shape.threads, [&](int64_t i) {
        T top[MOST_HEADS], sum[MOST_HEADS];
        const int64_t begin = rows.indptr[i], end = rows.indptr[i + 1];
        for (int64_t h = 0; h < heads; ++h) {
            top[h] = T(-__builtin_inf());
            sum[h] = 0;
        }
        for (int64_t k = begin; k < end; ++k) {
            const int64_t e = int64_t(ordered.order[k]) * heads;
            const int64_t j = int64_t(rows.indices[k]) * heads;
            ask_edges(ordered, k, heads, s.score_edge, s.alpha);
            for (int64_t h = 0; h < heads; ++h) {
                const T raw = raw_score(s, j + h, i * heads + h, e + h);
                const T logit = raw > 0 ? raw : raw * T(shape.slope);
                s.alpha[e + h] = logit;
                if (logit > top[h]) top[h] = logit;
            }
        }
        exponentials<T, L>(shape, ordered.order + begin, end - begin, top, s.alpha, sum);
        for (int64_t h = 0; h < heads; ++h) sum[h] = 1 / sum[h];
        for (int64_t k = begin; k < end; ++k) {
            T* alpha = s.alpha + int64_t(ordered.order[k]) * heads;
            ask_edges(ordered, k, heads, s.alpha);
            for (int64_t h = 0; h < heads; ++h) alpha[h] *= sum[h];
        }
    });
}

template <class T>
void softmax_grad(const Ordered& received, const Ordered& sent, const ScoreShape& shape,
                  const EdgeScores<T>& s, const EdgeScoresGrad<T>& g) {
    const int64_t heads = shape.heads;
    each_row(received.rows, shape.threads, [&](int64_t i) {
        T mean[MOST_HEADS];
        T* to_dst = g.to_dst + i * heads;
        const int64_t begin = received.rows.indptr[i], end = received.rows.indptr[i + 1];
        for (int64_t h = 0; h < heads; ++h) mean[h] = to_dst[h] = 0;
        for (int64_t k = begin; k < end; ++k) {
            const int64_t e = int64_t(received.order[k]) * heads;
            ask_edges(received, k, heads, s.alpha, g.grad);
            for (int64_t h = 0; h < heads; ++h) mean[h] += s.alpha[e + h] * g.grad[e + h];
        }
        for (int64_t k = begin; k < end; ++k) {
            const int64_t e = int64_t(received.order[k]) * heads;
            const int64_t j = int64_t(received.rows.indices[k]) * heads;
            ask_edges(received, k, heads, s.alpha, g.grad, s.score_edge, g.to_edge);
            for (int64_t h = 0; h < heads; ++h) {
                const T raw = raw_score(s, j + h, i * heads + h, e + h);
                const T to = s.alpha[e + h] * (g.grad[e + h] - mean[h]) *
                             (raw > 0 ? T(1) : T(shape.slope));
                g.to_edge[e + h] = to;
                to_dst[h] += to;
            }
        }
    });
    each_row(sent.rows, shape.threads, [&](int64_t j) {
        T* to_src = g.to_src + j * heads;
        for (int64_t h = 0; h < heads; ++h) to_src[h] = 0;
        for (int64_t k = sent.rows.indptr[j]; k < sent.rows.indptr[j + 1]; ++k) {
            const T* to = g.to_edge + int64_t(sent.order[k]) * heads;
            ask_edges(sent, k, heads, g.to_edge);
            for (int64_t h = 0; h < heads; ++h) to_src[h] += to[h];
        }
    });
}

// x [columns] = by_head, each `width` times
template <class T>
inline void spread(const T* by_head, int64_t heads, int64_t width, T* x) {
    for (int64_t h = 0; h < heads; ++h) {
        const T one = by_head ? by_head[h] : T(1);  // else read again for each column
        for (int64_t c = h * width; c < (h + 1) * width; ++c) x[c] = one;
    }
}

// share [columns, filled up] = sigmoid(logit + W feat); what fills it up is of no meaning
template <class T, int L>
inline void make_share(const T* logit, const T* feat, const T* weight, int64_t size,
                       int64_t padded, int64_t features, T* share) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    for (int64_t c = 0; c < size; ++c) share[c] = logit[c];
    for (int64_t c = size; c < padded; ++c) share[c] = 0;
    const V unit = Ln::all(T(1)), none = V{};
    for (int64_t c = 0; c < padded; c += L) {
        V z = Ln::load(share + c);
        for (int64_t f = 0; f < features; ++f) z += feat[f] * Ln::load(weight + f * padded + c);
        const V small = exponential<L>(z > none ? -z : z);  // NaN stays NaN
        Ln::store(share + c, (z > none ? unit : small) / (unit + small));
    }
}

inline int64_t whole_vectors(int64_t size, int64_t bytes) {
    const int64_t lanes = 64 / bytes;
    return (size + lanes - 1) / lanes * lanes;
}

template <class T>
inline void ask_ahead(const Rows& rows, int64_t k, const T* a, const T* b, const T* c,
                      int64_t size) {
    const int64_t ahead = k + AHEAD < rows.n_edges ? k + AHEAD : rows.n_edges - 1;
    const int64_t at = int64_t(rows.indices[ahead]) * size;
    prefetch_row(a + at, size);
    if (b) prefetch_row(b + at, size);
    if (c) prefetch_row(c + at, size);
}

template <class T>
void sum(const Ordered& ordered, const MessageShape& shape, const Messages<T>& m, T* out) {
    constexpr int L = FINREC_BYTES / sizeof(T);
    const Rows& rows = ordered.rows;
    const int64_t heads = shape.heads, width = shape.width, size = heads * width;
    const int64_t padded = whole_vectors(size, sizeof(T));
    each_row(rows, shape.threads, [&](int64_t i) {
        alignas(64) T share[MOST_COLUMNS], by[MOST_COLUMNS], faded[MOST_COLUMNS];
        T* __restrict to = out + i * size;
        for (int64_t c = 0; c < size; ++c) to[c] = 0;
        for (int64_t k = rows.indptr[i]; k < rows.indptr[i + 1]; ++k) {
            const int64_t e = ordered.order[k], j = int64_t(rows.indices[k]) * size;
            ask_ahead(rows, k, m.graph, m.text, m.logit, size);
            ask_edges(ordered, k, heads, m.alpha, m.fade);
            ask_edges(ordered, k, shape.features, m.feat);
            spread(m.alpha + e * heads, heads, width, by);
            const T* __restrict graph = m.graph + j;
            const T* __restrict text = m.text ? m.text + j : nullptr;
            if (m.logit) {
                spread(m.fade ? m.fade + e * heads : nullptr, heads, width, faded);
                make_share<T, L>(m.logit + j, m.feat + e * shape.features, m.weight, size, padded,
                                 shape.features, share);
                for (int64_t c = 0; c < size; ++c) {
                    const T whole = faded[c] * graph[c];
                    to[c] += by[c] * (whole + share[c] * (text[c] - whole));
                }
                continue;
            }
            if (text)
                for (int64_t c = 0; c < size; ++c) to[c] += by[c] * text[c];
            if (m.fade) {
                spread(m.fade + e * heads, heads, width, faded);
                for (int64_t c = 0; c < size; ++c) by[c] *= faded[c];
            }
            for (int64_t c = 0; c < size; ++c) to[c] += by[c] * graph[c];
        }
    });
}

// What one sender's edges are read with, and room for what is made of each.
template <class T>
struct Sender {
    alignas(64) T share[MOST_COLUMNS];
    alignas(64) T by[MOST_COLUMNS];
    alignas(64) T faded[MOST_COLUMNS];
    alignas(64) T to_by[MOST_COLUMNS];
    alignas(64) T to_faded[MOST_COLUMNS];
    alignas(64) T turned[MOST_COLUMNS];
};

// one edge's part of the gradients of its sender's rows, and by column those of alpha, fade, logit
template <class T>
inline void add_gated(Sender<T>& s, int64_t size, const T* __restrict grad,
                      const T* __restrict graph, const T* __restrict text, T* __restrict to_graph,
                      T* __restrict to_text, T* __restrict to_logit) {
    for (int64_t c = 0; c < size; ++c) {
        const T share = s.share[c], whole = s.faded[c] * graph[c], apart = text[c] - whole;
        const T to_message = grad[c] * s.by[c], kept = to_message * (1 - share);
        s.to_by[c] = grad[c] * (whole + share * apart);
        s.to_faded[c] = kept * graph[c];
        s.turned[c] = kept * share * apart;
        to_text[c] += to_message * share;
        to_graph[c] += kept * s.faded[c];
        to_logit[c] += s.turned[c];
    }
}

template <class T>
inline void add_plain(Sender<T>& s, int64_t size, const T* __restrict grad,
                      const T* __restrict graph, const T* __restrict text, T* __restrict to_graph,
                      T* __restrict to_text) {
    for (int64_t c = 0; c < size; ++c) {
        const T to_message = grad[c] * s.by[c];
        s.to_by[c] = grad[c] * s.faded[c] * graph[c];
        s.to_faded[c] = to_message * graph[c];
        to_graph[c] += to_message * s.faded[c];
    }
    if (text)
        for (int64_t c = 0; c < size; ++c) {
            s.to_by[c] += grad[c] * text[c];
            to_text[c] += grad[c] * s.by[c];
        }
}

template <class T>
void sender_grad(const Ordered& ordered, const MessageShape& shape, const Messages<T>& m,
                 const MessagesGrad<T>& g, int64_t j, T* to_weight) {
    constexpr int L = FINREC_BYTES / sizeof(T);
    const Rows& rows = ordered.rows;
    const int64_t heads = shape.heads, width = shape.width, size = heads * width;
    const int64_t padded = whole_vectors(size, sizeof(T)), at = j * size;
    Sender<T> s;
    T* const targets[] = {g.to_graph, g.to_text, g.to_logit};
    for (T* to : targets)
        if (to)
            for (int64_t c = 0; c < size; ++c) to[at + c] = 0;
    for (int64_t k = rows.indptr[j]; k < rows.indptr[j + 1]; ++k) {
        const int64_t e = ordered.order[k];
        const T* grad = g.grad + int64_t(rows.indices[k]) * size;
        ask_ahead<T>(rows, k, g.grad, nullptr, nullptr, size);
        ask_edges(ordered, k, heads, m.alpha, m.fade, g.to_alpha, g.to_fade);
        ask_edges(ordered, k, shape.features, m.feat, g.to_feat);
        spread(m.alpha + e * heads, heads, width, s.by);
        spread(m.fade ? m.fade + e * heads : nullptr, heads, width, s.faded);
        if (m.logit) {
            const T* feat = m.feat + e * shape.features;
            make_share<T, L>(m.logit + at, feat, m.weight, size, padded, shape.features, s.share);
            add_gated(s, size, grad, m.graph + at, m.text + at, g.to_graph + at, g.to_text + at,
                      g.to_logit + at);
            for (int64_t f = 0; f < shape.features; ++f) {
                if (g.to_feat)
                    g.to_feat[e * shape.features + f] =
                        inner<T, L>(s.turned, m.weight + f * padded, size);
                T* __restrict to = to_weight + f * padded;
                for (int64_t c = 0; c < size; ++c) to[c] += feat[f] * s.turned[c];
            }
        } else {
            add_plain(s, size, grad, m.graph + at, m.text ? m.text + at : nullptr,
                      g.to_graph + at, m.text ? g.to_text + at : nullptr);
        }
        for (int64_t h = 0; h < heads; ++h) {
            g.to_alpha[e * heads + h] = sum_of<T, L>(s.to_by + h * width, width);
            if (g.to_fade) g.to_fade[e * heads + h] = sum_of<T, L>(s.to_faded + h * width, width);
        }
    }
}

template <class T>
void sum_grad(const Ordered& ordered, const MessageShape& shape, const Messages<T>& m,
              const MessagesGrad<T>& g) {
    const Rows& rows = ordered.rows;
    const int64_t size = shape.heads * shape.width;
    const int64_t weights = m.logit ? shape.features * whole_vectors(size, sizeof(T)) : 0;
    const int64_t total = rows.n_edges + rows.n_rows;
    auto first_of = [&](int64_t part) {
        const int64_t wanted = total / MESSAGE_PARTS * part + total % MESSAGE_PARTS * part / MESSAGE_PARTS;
        int64_t low = 0, high = rows.n_rows;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (rows.indptr[middle] + middle < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(shape.threads) if (shape.threads > 1)
#endif
    for (int64_t part = 0; part < MESSAGE_PARTS; ++part) {
        T* to_weight = weights ? g.room + part * weights : nullptr;
        for (int64_t k = 0; k < weights; ++k) to_weight[k] = 0;
        const int64_t end = part + 1 < MESSAGE_PARTS ? first_of(part + 1) : rows.n_rows;
        for (int64_t j = first_of(part); j < end; ++j)
            sender_grad(ordered, shape, m, g, j, to_weight);
    }
    for (int64_t k = 0; k < weights; ++k) {
        T whole = 0;
        for (int64_t part = 0; part < MESSAGE_PARTS; ++part) whole += g.room[part * weights + k];
        g.to_weight[k] = whole;
    }
}

}  // namespace

#define JOINED(name) name##_messages
#define TABLE(name) JOINED(name)
extern const MessageTable TABLE(FINREC_VARIANT);
const MessageTable TABLE(FINREC_VARIANT) = {
    {softmax<float>, softmax_grad<float>, sum<float>, sum_grad<float>},
    {softmax<double>, softmax_grad<double>, sum<double>, sum_grad<double>},
};
