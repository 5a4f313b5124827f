// Attention over one relation without a tensor of edges x width; compiled once per instruction set.
//
// out_i = sum over j of alpha_ij v_j,  alpha_ij = softmax over j of LeakyReLU(s_j + d_i)
//
// Forward: a receiver's edges in chunks that stay in the first cache; scores and their maximum,
// exp of all scores of a chunk at once, then the weighted sum of the senders' rows. Of the
// coefficients only the maximum and the sum of exps are kept, by receiver and head.
//
// Backward, with g the gradient of out, m_ij the dropout and l_ij the slope of LeakyReLU:
//   delta_i   = sum_j alpha_ij m_ij g_i . v_j = g_i . out_i
//   dlogit_ij = alpha_ij (m_ij g_i . v_j - delta_i)
//   grad v_j  = sum_i alpha_ij m_ij g_i
//   grad s_j  = sum_i l_ij dlogit_ij = v_j . (sum_i l_ij alpha_ij m_ij g_i)
//               - sum_i l_ij alpha_ij delta_i
//   grad d_i  = sum_j l_ij dlogit_ij = g_i . lean_i
//   lean_i    = sum_j l_ij alpha_ij m_ij v_j - (sum_j l_ij alpha_ij) out_i
// so no inner product is taken by edge: a second weighted sum of the rows, already at hand, does
// instead. The forward pass makes `lean`, of the size of `out`, where a gradient is wanted.
//
// Every row is summed by one thread in the order of its edges: the number of threads changes no bit.
#include "each_row.h"
#include "lanes.h"

// all in here is local to this object: the linker must not merge what other instruction sets made
namespace {

constexpr int BUFFER = 1024;    // scores of a chunk
constexpr int MOST_HEADS = 128;
constexpr int AHEAD = 16;       // edges between the prefetch of a row and its use
constexpr int SCORES_AHEAD = 48;
constexpr int MOST_COLUMNS = 4096;

// A coefficient's draw is mix(sender_part ^ seeded(receiver) ^ head_part).
constexpr uint32_t HEAD_STEP = 0x27D4EB2Fu;

inline int64_t common(int64_t a, int64_t b) { return b ? common(b, a % b) : a; }

// A chunk of the edges of one row: their other ends, and how many are left in the whole relation.
struct Edges {
    const int32_t* end;
    int64_t count;
    int64_t last;

    inline int64_t ahead(int64_t e, int64_t by) const { return end[e + by < last ? e + by : last]; }
};

// Where weighted sums go. `fresh`: they begin at zero. With `scale` they are finished, by head:
// first = scale first, second = scale second - share first.
template <class T>
struct Goal {
    T* first;
    T* second;
    bool fresh;
    const T* scale;
    const T* share;
};

// Two weighted sums of the same rows, by head: first += w_e row_e, second += u_e row_e.
// H heads of K vectors of L lanes each, all sums in registers; H = 0: any shape, in memory.
template <class T, class R, int L, int H, int K, bool TWO>
void add_rows(const Edges edges, int64_t heads, int64_t width, const R* base, const T* w,
              const T* u, const Goal<T>& goal) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    T* __restrict first = goal.first;
    T* __restrict second = goal.second;
    if constexpr (H > 0) {
        constexpr int N = H * K, SIZE = N * L;
        V one[N], two[TWO ? N : 1];
        for (int k = 0; k < N; ++k) {
            one[k] = V{};
            if (TWO) two[k] = V{};
        }
        for (int64_t e = 0; e < edges.count; ++e) {
            prefetch_row(base + edges.ahead(e, AHEAD) * SIZE, SIZE);
            const R* row = base + int64_t(edges.end[e]) * SIZE;
#pragma GCC unroll 16
            for (int k = 0; k < N; ++k) {
                const V v = widen<T, R, L>(row + k * L);
                one[k] += w[e * H + k / K] * v;
                if (TWO) two[k] += u[e * H + k / K] * v;
            }
        }
        for (int k = 0; k < N; ++k) {
            if (!goal.fresh) {  // a chunk is summed by itself: fewer roundings in a long row
                one[k] += Ln::load(first + k * L);
                if (TWO) two[k] += Ln::load(second + k * L);
            }
            if (goal.scale) {
                one[k] *= goal.scale[k / K];
                if (TWO) two[k] = two[k] * goal.scale[k / K] - one[k] * goal.share[k / K];
            }
            Ln::store(first + k * L, one[k]);
            if (TWO) Ln::store(second + k * L, two[k]);
        }
    } else {
        const int64_t size = heads * width;
        if (goal.fresh) {
            for (int64_t c = 0; c < size; ++c) first[c] = 0;
            if (TWO)
                for (int64_t c = 0; c < size; ++c) second[c] = 0;
        }
        for (int64_t e = 0; e < edges.count; ++e) {
            prefetch_row(base + edges.ahead(e, AHEAD) * size, size);
            const R* __restrict row = base + edges.end[e] * size;
            for (int64_t h = 0; h < heads; ++h) {
                const T by = w[e * heads + h], other = TWO ? u[e * heads + h] : T(0);
                for (int64_t c = h * width; c < (h + 1) * width; ++c) {
                    const T v = widen_one(row[c]);
                    first[c] += by * v;
                    if (TWO) second[c] += other * v;
                }
            }
        }
        if (goal.scale)
            for (int64_t h = 0; h < heads; ++h)
                for (int64_t c = h * width; c < (h + 1) * width; ++c) {
                    first[c] *= goal.scale[h];
                    if (TWO) second[c] = second[c] * goal.scale[h] - first[c] * goal.share[h];
                }
    }
}

template <class T, class R>
using Add = void (*)(const Edges, int64_t, int64_t, const R*, const T*, const T*, const Goal<T>&);

template <class T, class R, int L, int H, int K, bool TWO>
inline bool add_as(int64_t heads, int64_t width, Add<T, R>& found) {
    if (heads != H || width != K * L) return false;
    found = add_rows<T, R, L, H, K, TWO>;
    return true;
}

template <class T, class R, int L, bool TWO>
inline bool add_in(int64_t heads, int64_t width, Add<T, R>& found) {
    return add_as<T, R, L, 1, 1, TWO>(heads, width, found) ||
           add_as<T, R, L, 1, 2, TWO>(heads, width, found) ||
           add_as<T, R, L, 1, 4, TWO>(heads, width, found) ||
           add_as<T, R, L, 2, 1, TWO>(heads, width, found) ||
           add_as<T, R, L, 2, 2, TWO>(heads, width, found) ||
           add_as<T, R, L, 2, 4, TWO>(heads, width, found) ||
           add_as<T, R, L, 4, 1, TWO>(heads, width, found) ||
           add_as<T, R, L, 4, 2, TWO>(heads, width, found) ||
           add_as<T, R, L, 8, 1, TWO>(heads, width, found);
}

// in lanes of the processor's vectors or of half of them; other shapes go the general way
template <class T, class R, int L, bool TWO>
inline Add<T, R> add_for(int64_t heads, int64_t width) {
    Add<T, R> found = add_rows<T, R, L, 0, 1, TWO>;
    add_in<T, R, L, TWO>(heads, width, found) || add_in<T, R, L / 2, TWO>(heads, width, found);
    return found;
}

// The scores of the edges' ends, [edges, heads], and by head the largest of them.
template <class T, int H>
void fetch_scores(const Edges edges, int64_t heads, const T* score, T* to, T* largest) {
    if constexpr (H > 0) {
        typedef Lanes<T, H> Ln;
        typename Ln::V best = Ln::all(T(-__builtin_inf()));
        for (int64_t e = 0; e < edges.count; ++e) {
            __builtin_prefetch(score + edges.ahead(e, SCORES_AHEAD) * H);
            const typename Ln::V one = Ln::load(score + int64_t(edges.end[e]) * H);
            best = one > best ? one : best;
            Ln::store(to + e * H, one);
        }
        Ln::store(largest, best);
    } else {
        for (int64_t h = 0; h < heads; ++h) largest[h] = -__builtin_inf();
        for (int64_t e = 0; e < edges.count; ++e)
            for (int64_t h = 0; h < heads; ++h) {
                const T one = score[edges.end[e] * heads + h];
                to[e * heads + h] = one;
                if (one > largest[h]) largest[h] = one;
            }
    }
}

// What `pack_receivers` left for the edges' ends: part p of each to to[p], [edges, heads].
template <class T, int H>
void fetch_packed(const Edges edges, int64_t heads, const T* packed, T* const* to) {
    for (int64_t e = 0; e < edges.count; ++e) {
        if constexpr (H > 0) {
            typedef Lanes<T, H> Ln;
            prefetch_row(packed + edges.ahead(e, SCORES_AHEAD) * 4 * H, 4 * H);
            const T* one = packed + int64_t(edges.end[e]) * 4 * H;
#pragma GCC unroll 4
            for (int p = 0; p < 4; ++p) Ln::store(to[p] + e * H, Ln::load(one + p * H));
        } else {
            const T* one = packed + edges.end[e] * 4 * heads;
            for (int p = 0; p < 4; ++p)
                for (int64_t h = 0; h < heads; ++h) to[p][e * heads + h] = one[p * heads + h];
        }
    }
}

// what the draws of all coefficients are mixed of, [edges, heads]
template <class T, int H>
void fetch_codes(const uint32_t* by_edge, int64_t count, int64_t heads, uint32_t* codes) {
    const int64_t n = H ? H : heads;
    for (int64_t e = 0; e < count; ++e)
        for (int64_t h = 0; h < n; ++h) codes[e * n + h] = by_edge[e] ^ uint32_t(h) * HEAD_STEP;
}

template <class T>
struct Fetch {
    void (*scores)(const Edges, int64_t, const T*, T*, T*);
    void (*packed)(const Edges, int64_t, const T*, T* const*);
    void (*codes)(const uint32_t*, int64_t, int64_t, uint32_t*);
};

template <class T, int H>
inline Fetch<T> fetch_as() {
    return {fetch_scores<T, H>, fetch_packed<T, H>, fetch_codes<T, H>};
}

template <class T>
inline Fetch<T> fetch_for(int64_t heads) {
    switch (heads) {
        case 1: return fetch_as<T, 1>();
        case 2: return fetch_as<T, 2>();
        case 4: return fetch_as<T, 4>();
        case 8: return fetch_as<T, 8>();
        default: return fetch_as<T, 0>();
    }
}

// w and u [vectors, L] where a coefficient falls: 0; elsewhere times what makes up for it
template <class T, int L, bool TWO>
void drop(const uint32_t* codes, int64_t vectors, const Options& o, T* w, T* u) {
    typedef Lanes<T, L> Ln;
    typedef uint32_t U __attribute__((vector_size(L * 4)));
    typedef int32_t S __attribute__((vector_size(L * 4)));
    for (int64_t t = 0; t < vectors; ++t) {
        U x;
        __builtin_memcpy(&x, codes + t * L, sizeof(U));
        x ^= x >> 16;
        x *= 0x85EBCA6Bu;
        x ^= x >> 13;
        x *= 0xC2B2AE35u;
        x ^= x >> 16;
        const S kept = x >= (U{} + o.dropped);  // -1 or 0
        const typename Ln::V by = __builtin_convertvector(kept, typename Ln::V) * T(-o.kept_scale);
        Ln::store(w + t * L, Ln::load(w + t * L) * by);
        if (TWO) Ln::store(u + t * L, Ln::load(u + t * L) * by);
    }
}

// sum [heads] += the lanes l of v that are the same modulo heads, which divides their number
template <int L, class T>
inline void by_halves(typename Lanes<T, L>::V v, int64_t heads, T* sum) {
    if (L == heads) {
        Lanes<T, L>::store(sum, Lanes<T, L>::load(sum) + v);
    } else if constexpr (L > 1) {
        typename Lanes<T, L / 2>::V half[2];
        __builtin_memcpy(half, &v, sizeof(v));
        by_halves<L / 2, T>(half[0] + half[1], heads, sum);
    }
}

// Sums by head of what stands in [edges, heads], a vector at a time: heads and lanes align again
// after `period` vectors.
template <class T, int L>
struct HeadSums {
    typedef typename Lanes<T, L>::V V;
    V total[MOST_HEADS];

    inline explicit HeadSums(int64_t period) {
        for (int64_t t = 0; t < period; ++t) total[t] = V{};
    }
    inline void finish(int64_t heads, int64_t period, T* sum) const {
        if (period == 1) {
            by_halves<L, T>(total[0], heads, sum);
            return;
        }
        for (int64_t t = 0, h = 0; t < period; ++t)
            for (int l = 0; l < L; ++l) {
                sum[h] += total[t][l];
                if (++h == heads) h = 0;
            }
    }
};

// one number by head, repeated over the `period` vectors after which heads and lanes align again
template <class T, int L>
inline void repeat(const T* by_head, int64_t heads, int64_t period, T* to) {
    if (period == 1) {  // heads: a power of two
        for (int l = 0; l < L; ++l) to[l] = by_head[l & (heads - 1)];
        return;
    }
    for (int64_t k = 0, h = 0; k < period * L; ++k) {
        to[k] = by_head[h];
        if (++h == heads) h = 0;
    }
}

template <class T>
inline void scale_by_head(T* row, const T* by, int64_t heads, int64_t width) {
    for (int64_t h = 0; h < heads; ++h)
        for (int64_t c = h * width; c < (h + 1) * width; ++c) row[c] *= by[h];
}

// exp(LeakyReLU(score + own) - high) in place of w, and that times the slope in u, with their sums
template <class T, int L, bool GRAD, bool ALIGNED>
inline void exponentials(int64_t vectors, int64_t heads, int64_t period, T slope, const T* own,
                         const T* high, T* w, T* u, T* sum, T* leaning) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const V none = V{}, flat = Ln::all(slope), unit = Ln::all(T(1));
    HeadSums<T, L> sums(period), leanings(GRAD ? period : 0);
    for (int64_t t = 0, q = 0; t < vectors; ++t) {
        const V raw = Ln::load(w + t * L) + Ln::load(own + q * L);
        const V lift = raw > none ? unit : flat;
        const V e = exponential<L>(raw * lift - Ln::load(high + q * L));
        Ln::store(w + t * L, e);
        sums.total[q] += e;
        if (GRAD) {
            Ln::store(u + t * L, e * lift);
            leanings.total[q] += e * lift;
        }
        if (!ALIGNED && ++q == period) q = 0;
    }
    sums.finish(heads, period, sum);
    if (GRAD) leanings.finish(heads, period, leaning);
}

template <class T, class R, int L, bool GRAD>
void forward_rows(const Rows& rows, const Options& o, const Forward<T, R>& f) {
    typedef Lanes<T, L> Ln;
    const int64_t heads = o.heads, width = o.width, size = heads * width;
    const int64_t chunk = BUFFER / heads, period = heads / common(heads, L);
    const Add<T, R> add = add_for<T, R, L, GRAD>(heads, width);
    const Fetch<T> fetch = fetch_for<T>(heads);
    each_row(rows, o.threads, [&](int64_t i) {
        alignas(64) T w[BUFFER + L], u[GRAD ? BUFFER + L : 1];
        alignas(64) T own[MOST_HEADS * L], high[MOST_HEADS * L];
        alignas(64) uint32_t codes[BUFFER + L];
        T top[MOST_HEADS], sum[MOST_HEADS], leaning[MOST_HEADS];
        T inverse[MOST_HEADS], share[MOST_HEADS];
        T* out = f.out + i * size;
        T* lean = GRAD ? f.lean + i * size : nullptr;
        const int64_t begin = rows.indptr[i], end = rows.indptr[i + 1];
        for (int64_t h = 0; h < heads; ++h) top[h] = sum[h] = leaning[h] = inverse[h] = 0;
        if (begin == end) {
            for (int64_t c = 0; c < size; ++c) out[c] = 0;
            if (GRAD)
                for (int64_t c = 0; c < size; ++c) lean[c] = 0;
        }
        repeat<T, L>(f.score_dst + i * heads, heads, period, own);
        const uint32_t key = o.dropped ? seeded(i, o.seed) : 0;
        for (int64_t from = begin; from < end; from += chunk) {
            const int64_t m = end - from < chunk ? end - from : chunk, flat = m * heads;
            const int64_t vectors = (flat + L - 1) / L;
            const Edges edges = {rows.indices + from, m, rows.n_edges - 1 - from};
            T now[MOST_HEADS], shrink[MOST_HEADS];
            fetch.scores(edges, heads, f.score_src, w, now);
            for (int64_t k = flat; k < vectors * L; ++k) w[k] = -__builtin_inf();
            bool grew = false;
            for (int64_t h = 0; h < heads; ++h) {
                // LeakyReLU rises, so the largest logit is that of the largest score
                T logit = now[h] + f.score_dst[i * heads + h];
                logit = logit > 0 ? logit : logit * T(o.slope);
                shrink[h] = 1;
                if (from == begin) {
                    top[h] = logit;
                } else if (logit > top[h]) {
                    shrink[h] = exponential<L>(Ln::all(top[h] - logit))[0];
                    sum[h] *= shrink[h];
                    leaning[h] *= shrink[h];
                    top[h] = logit;
                    grew = true;
                }
            }
            if (grew) {
                scale_by_head(out, shrink, heads, width);
                if (GRAD) scale_by_head(lean, shrink, heads, width);
            }
            repeat<T, L>(top, heads, period, high);
            // what fills the last vector up is the least that exp gives: nothing beside a sum >= 1
            if (period == 1)
                exponentials<T, L, GRAD, true>(vectors, heads, 1, T(o.slope), own, high, w, u, sum,
                                               leaning);
            else
                exponentials<T, L, GRAD, false>(vectors, heads, period, T(o.slope), own, high, w,
                                                u, sum, leaning);
            if (o.dropped) {
                uint32_t by_edge[BUFFER];
                for (int64_t e = 0; e < m; ++e) by_edge[e] = uint32_t(edges.end[e]) * STEP ^ key;
                fetch.codes(by_edge, m, heads, codes);
                for (int64_t k = flat; k < vectors * L; ++k) codes[k] = 0;
                drop<T, L, GRAD>(codes, vectors, o, w, u);
            }
            const bool last = from + chunk >= end;
            if (last)
                for (int64_t h = 0; h < heads; ++h) {
                    inverse[h] = 1 / sum[h];
                    share[h] = leaning[h] * inverse[h];
                }
            add(edges, heads, width, f.value, w, u,
                {out, lean, from == begin, last ? inverse : nullptr, share});
        }
        for (int64_t h = 0; h < heads; ++h) {
            f.top[i * heads + h] = top[h];
            f.inverse[i * heads + h] = inverse[h];
        }
    });
}

// what a sender reads of a receiver, side by side, and the gradient of the receiver's own score
template <class T, class R, int L>
void pack_receivers(const Options& o, const Backward<T, R>& b) {
    const int64_t heads = o.heads;
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(o.threads) if (o.threads > 1)
#endif
    for (int64_t i = 0; i < b.n_dst; ++i) {
        const int64_t size = heads * o.width;
        if constexpr (BRIEF<T, R>) narrow(b.grad + i * size, size, b.brief + i * size);
        for (int64_t h = 0; h < heads; ++h) {
            const int64_t one = i * heads + h, row = one * o.width;
            T* to = b.packed + i * 4 * heads + h;
            to[0] = b.score_dst[one];
            to[heads] = b.top[one];
            to[2 * heads] = b.inverse[one];
            to[3 * heads] = inner<T, L>(b.grad + row, b.out + row, o.width);
            b.grad_score_dst[one] = inner<T, L>(b.grad + row, b.lean + row, o.width);
        }
    }
}

// Coefficients alpha in place of w, those times the slope in u, and the sums of u times delta
template <class T, int L, bool ALIGNED>
inline void coefficients(int64_t vectors, int64_t heads, int64_t period, T slope, const T* own,
                         const T* top, const T* inverse, const T* delta, T* w, T* u, T* lost) {
    typedef Lanes<T, L> Ln;
    typedef typename Ln::V V;
    const V none = V{}, flat = Ln::all(slope), unit = Ln::all(T(1));
    HeadSums<T, L> sums(period);
    for (int64_t t = 0, q = 0; t < vectors; ++t) {
        const V raw = Ln::load(w + t * L) + Ln::load(own + q * L);
        const V lift = raw > none ? unit : flat;
        const V alpha =
            exponential<L>(raw * lift - Ln::load(top + t * L)) * Ln::load(inverse + t * L);
        Ln::store(w + t * L, alpha);
        Ln::store(u + t * L, alpha * lift);
        sums.total[q] += alpha * lift * Ln::load(delta + t * L);
        if (!ALIGNED && ++q == period) q = 0;
    }
    sums.finish(heads, period, lost);
}

template <class T, class R, int L>
void backward_rows(const Rows& rows, const Options& o, const Backward<T, R>& b) {
    const int64_t heads = o.heads, width = o.width, size = heads * width;
    const int64_t chunk = BUFFER / heads, period = heads / common(heads, L);
    const Add<T, R> add = add_for<T, R, L, true>(heads, width);
    const Fetch<T> fetch = fetch_for<T>(heads);
    pack_receivers<T, R, L>(o, b);
    const R* gathered;
    if constexpr (BRIEF<T, R>)
        gathered = b.brief;
    else
        gathered = b.grad;
    each_row(rows, o.threads, [&](int64_t j) {
        alignas(64) T w[BUFFER + L], u[BUFFER + L], top[BUFFER + L], inverse[BUFFER + L];
        alignas(64) T delta[BUFFER + L], own[MOST_HEADS * L], second[MOST_COLUMNS];
        alignas(64) T wide[BRIEF<T, R> ? MOST_COLUMNS : 1];
        alignas(64) uint32_t codes[BUFFER + L];
        T* const parts[] = {w, top, inverse, delta};
        T lost[MOST_HEADS];
        T* grad_value;
        if constexpr (BRIEF<T, R>)
            grad_value = wide;
        else
            grad_value = b.grad_value + j * size;
        T* grad_score = b.grad_score_src + j * heads;
        const int64_t begin = rows.indptr[j], end = rows.indptr[j + 1];
        if (begin == end) {
            for (int64_t c = 0; c < size; ++c) b.grad_value[j * size + c] = R{};
            for (int64_t h = 0; h < heads; ++h) grad_score[h] = 0;
            return;
        }
        for (int64_t h = 0; h < heads; ++h) lost[h] = 0;
        repeat<T, L>(b.score_src + j * heads, heads, period, own);
        for (int64_t from = begin; from < end; from += chunk) {
            const int64_t m = end - from < chunk ? end - from : chunk, flat = m * heads;
            const int64_t vectors = (flat + L - 1) / L;
            const Edges edges = {rows.indices + from, m, rows.n_edges - 1 - from};
            fetch.packed(edges, heads, b.packed, parts);
            for (int64_t k = flat; k < vectors * L; ++k) w[k] = top[k] = inverse[k] = delta[k] = 0;
            if (period == 1)
                coefficients<T, L, true>(vectors, heads, 1, T(o.slope), own, top, inverse, delta,
                                         w, u, lost);
            else
                coefficients<T, L, false>(vectors, heads, period, T(o.slope), own, top, inverse,
                                          delta, w, u, lost);
            if (o.dropped) {
                uint32_t by_edge[BUFFER];
                for (int64_t e = 0; e < m; ++e)
                    by_edge[e] = seeded(edges.end[e], o.seed) ^ uint32_t(j) * STEP;
                fetch.codes(by_edge, m, heads, codes);
                for (int64_t k = flat; k < vectors * L; ++k) codes[k] = 0;
                drop<T, L, true>(codes, vectors, o, w, u);
            }
            add(edges, heads, width, gathered, w, u,
                {grad_value, second, from == begin, nullptr, nullptr});
        }
        for (int64_t h = 0; h < heads; ++h)
            grad_score[h] =
                inner<T, L>(second + h * width, b.value + j * size + h * width, width) - lost[h];
        if constexpr (BRIEF<T, R>) narrow(wide, size, b.grad_value + j * size);
    });
}

// N vectors of L columns of one row from `column` on, in registers
template <class T, class R, int L, int N>
inline void sum_columns(const Rows& rows, const Sum<T, R>& s, int64_t i, int64_t column) {
    typedef typename Lanes<T, L>::V V;
    V total[N];
    for (int k = 0; k < N; ++k) total[k] = V{};
    const int64_t end = rows.indptr[i + 1];
    for (int64_t e = rows.indptr[i]; e < end; ++e) {
        const int64_t ahead = e + AHEAD < rows.n_edges ? e + AHEAD : rows.n_edges - 1;
        prefetch_row(s.x + int64_t(rows.indices[ahead]) * s.width + column, N * L);
        const R* row = s.x + int64_t(rows.indices[e]) * s.width + column;
        const T weight = s.weight ? s.weight[e] : T(1);
#pragma GCC unroll 16
        for (int k = 0; k < N; ++k) total[k] += weight * widen<T, R, L>(row + k * L);
    }
    for (int k = 0; k < N; ++k) Lanes<T, L>::store(s.out + i * s.width + column + k * L, total[k]);
}

template <class T, class R, int L>
void sum_rows(const Rows& rows, const Sum<T, R>& s) {
    each_row(rows, s.threads, [&](int64_t i) {
        int64_t column = 0;
        for (; column + 8 * L <= s.width; column += 8 * L) sum_columns<T, R, L, 8>(rows, s, i, column);
        for (; column + 2 * L <= s.width; column += 2 * L) sum_columns<T, R, L, 2>(rows, s, i, column);
        for (; column < s.width; ++column) sum_columns<T, R, 1, 1>(rows, s, i, column);
    });
}

template <class T, class R>
void forward(const Rows& rows, const Options& o, const Forward<T, R>& f) {
    if (f.lean)
        forward_rows<T, R, FINREC_BYTES / sizeof(T), true>(rows, o, f);
    else
        forward_rows<T, R, FINREC_BYTES / sizeof(T), false>(rows, o, f);
}

template <class T, class R>
void backward(const Rows& rows, const Options& o, const Backward<T, R>& b) {
    backward_rows<T, R, FINREC_BYTES / sizeof(T)>(rows, o, b);
}

template <class T, class R>
void sum(const Rows& rows, const Sum<T, R>& s) {
    sum_rows<T, R, FINREC_BYTES / sizeof(T)>(rows, s);
}

}  // namespace

extern const Table FINREC_VARIANT;
const Table FINREC_VARIANT = {
    {forward<float, float>, backward<float, float>, sum<float, float>},
    {forward<double, double>, backward<double, double>, sum<double, double>},
    {forward<float, Brief>, backward<float, Brief>, sum<float, Brief>},
};
