// Where targets stand among all columns, and each row's best, without a matrix of scores.
//
// Scores are made for a few rows and a segment of columns at a time, and used while they lie in the
// first caches: a product of vectors costs little more than its arithmetic. An item's vectors are
// packed in panels; a tile of some rows and a panel's columns stays in registers.
//
// A score is summed in the order of the width, whatever stands beside it: it is the same to the bit
// in every batch, for any number of threads, and where it is asked for alone.
#include "ranking.h"

#include "lanes.h"

namespace {

constexpr int64_t SEGMENT = 20 * PANEL;  // columns at once: with width 64, 240 KiB of panels
constexpr int64_t MOST_ROWS = 96;        // rows of a task, which share a segment's panels
constexpr int ROWS = FINREC_BYTES == 64 ? 8 : 6;  // a tile: as many as the registers hold
constexpr int VECTORS = FINREC_BYTES == 64 ? 3 : 2;
constexpr int TARGETS = 8;  // compared with one read of the scores

template <class T>
constexpr int LANES = FINREC_BYTES / int(sizeof(T));
template <class T>
constexpr int TILE = VECTORS * LANES<T>;  // columns of a tile, which divide PANEL

template <class T>
struct Whole;
template <>
struct Whole<float> {
    typedef int32_t type;
};
template <>
struct Whole<double> {
    typedef int64_t type;
};

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t within(int64_t a, int64_t low, int64_t high) {
    return a < low ? low : least(a, high);
}

// Scores of R rows in the columns of a tile, to `out` [R, SEGMENT].
template <class T, int R>
inline void tile(const T* const* row, int64_t width, const T* panel, const T* bias, T* out) {
    typedef Lanes<T, LANES<T>> Ln;
    typedef typename Ln::V V;
    V sum[R][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) sum[r][v] = Ln::load(bias + v * LANES<T>);
    for (int64_t k = 0; k < width; ++k) {
        V item[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) item[v] = Ln::load(panel + k * PANEL + v * LANES<T>);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v) sum[r][v] += row[r][k] * item[v];
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; ++v) Ln::store(out + r * SEGMENT + v * LANES<T>, sum[r][v]);
}

// Scores of ROWS rows from `first` on in the segment from column `start`; the last row stands in
// for those that there are no more of.
template <class T>
inline void multiply(const Scores<T>& s, int64_t first, int64_t start, int64_t n, T* out) {
    const T* row[ROWS];
    for (int r = 0; r < ROWS; ++r) row[r] = s.left + least(first + r, s.n_rows - 1) * s.width;
    for (int64_t column = 0; column < n; column += PANEL) {
        const T* panel = s.panels + (start + column) * s.width;
        const T* bias = s.bias + start + column;
        for (int64_t part = 0; part < PANEL; part += TILE<T>)
            tile<T, ROWS>(row, s.width, panel + part, bias + part, out + column + part);
    }
}

// The same of one given row; whether all are finite.
template <class T>
inline bool read(const Scores<T>& s, int64_t row, int64_t start, int64_t n, T* __restrict out) {
    const T* __restrict from = s.given + row * s.stride;
    const int32_t* __restrict columns = s.columns + start;
    typename Whole<T>::type odd = 0;
    for (int64_t c = 0; c < n; ++c) {
        const T one = from[columns[c]];
        out[c] = one;
        odd |= !(one - one == 0);
    }
    return !odd;
}

// Calls use(row, scores, start, n) for all segments of all rows, each row's in rising order and by
// one thread.
template <class T, class F>
void each_segment(const Scores<T>& s, const F& use) {
    int64_t rows = (s.n_rows + s.threads - 1) / s.threads;
    rows = within((rows + ROWS - 1) / ROWS * ROWS, ROWS, MOST_ROWS);
    const int64_t tasks = (s.n_rows + rows - 1) / rows;
    const T none = -T(__builtin_inf());
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(s.threads) if (s.threads > 1)
#endif
    for (int64_t task = 0; task < tasks; ++task) {
        alignas(64) T scores[ROWS * SEGMENT];
        int64_t next[MOST_ROWS];
        const int64_t begin = task * rows, end = least(begin + rows, s.n_rows);
        for (int64_t i = begin; i < end; ++i) {
            next[i - begin] = s.held_at[i];
            if (s.given) s.finite[i] = 1;
        }
        for (int64_t start = 0; start < s.n_columns; start += SEGMENT) {
            const int64_t n = least(SEGMENT, s.n_columns - start);
            for (int64_t first = begin; first < end; first += ROWS) {
                if (!s.given) multiply(s, first, start, n, scores);
                for (int64_t i = first; i < least(first + ROWS, end); ++i) {
                    T* row = scores + (i - first) * SEGMENT;
                    if (s.given && !read(s, i, start, n, row)) s.finite[i] = 0;
                    int64_t& at = next[i - begin];
                    for (; at < s.held_at[i + 1] && s.held[at] < start + n; ++at)
                        row[s.held[at] - start] = none;
                    use(i, row, start, n);
                }
            }
        }
    }
}

// The greatest number below x: what is greater than that is at least x.
inline float below(float x) {
    if (x == 0) return -1.40129846e-45f;
    int32_t bits;
    __builtin_memcpy(&bits, &x, sizeof(x));
    bits += x > 0 ? -1 : 1;
    __builtin_memcpy(&x, &bits, sizeof(x));
    return x;
}
inline double below(double x) {
    if (x == 0) return -4.9406564584124654e-324;
    int64_t bits;
    __builtin_memcpy(&bits, &x, sizeof(x));
    bits += x > 0 ? -1 : 1;
    __builtin_memcpy(&x, &bits, sizeof(x));
    return x;
}

// The sum of the lanes, by halves.
template <class W, int L>
inline int64_t total(const void* vector) {
    if constexpr (L == 1) {
        W one;
        __builtin_memcpy(&one, vector, sizeof(W));
        return one;
    } else {
        typedef W Half __attribute__((vector_size(L / 2 * sizeof(W))));
        Half low, high;
        __builtin_memcpy(&low, vector, sizeof(Half));
        __builtin_memcpy(&high, static_cast<const char*>(vector) + sizeof(Half), sizeof(Half));
        low += high;
        return total<W, L / 2>(&low);
    }
}

// How many of n scores are greater than each of N limits, added to `found` of each.
template <class T, int N>
inline void count_greater(const T* scores, int64_t n, const T* limits, int64_t* const* found) {
    typedef Lanes<T, LANES<T>> Ln;
    typedef typename Whole<T>::type W;
    typedef W S __attribute__((vector_size(FINREC_BYTES)));
    typename Ln::V limit[N];
    S sum[N];
    for (int t = 0; t < N; ++t) {
        limit[t] = Ln::all(limits[t]);
        sum[t] = S{};
    }
    int64_t c = 0;
    for (; c + LANES<T> <= n; c += LANES<T>) {
        const typename Ln::V one = Ln::load(scores + c);
#pragma GCC unroll 8
        for (int t = 0; t < N; ++t) sum[t] = one > limit[t] ? sum[t] + 1 : sum[t];
    }
    for (int t = 0; t < N; ++t) {
        int64_t more = total<W, LANES<T>>(sum + t);
        for (int64_t rest = c; rest < n; ++rest) more += scores[rest] > limits[t];
        *found[t] += more;
    }
}

// Limits that wait to be compared with the same scores, as many as one read can serve.
template <class T>
struct Waiting {
    const T* scores;
    int64_t n;
    int64_t* found[TARGETS];
    T limit[TARGETS];
    int size;

    inline void add(T one, int64_t* to) {
        limit[size] = one;
        found[size] = to;
        if (++size == TARGETS) finish<TARGETS>();
    }
    template <int N>
    inline void finish() {
        if (size >= N) {
            size -= N;
            count_greater<T, N>(scores, n, limit + size, found + size);
        }
        if constexpr (N > 1) finish<N / 2>();
    }
};

template <class T>
void above(const Scores<T>& s, const Above<T>& a) {
    each_segment(s, [&](int64_t row, const T* scores, int64_t start, int64_t n) {
        for (int64_t part = 0; part < a.parts; ++part) {
            const int64_t from = within(a.first[part] - start, 0, n);
            const int64_t to = within(a.first[part + 1] - start, 0, n);
            if (from == to) continue;
            const int32_t* border = a.border + part * a.n_targets;
            int64_t* found = a.above + part * a.n_targets;
            Waiting<T> all = {scores + from, to - from, {}, {}, 0};
            for (int64_t t = a.at[row]; t < a.at[row + 1]; ++t) {
                const int64_t middle = within(border[t] - start, from, to);
                const T exact = a.score[t], lower = below(exact);
                if (middle == from || middle == to) {
                    all.add(middle == to ? lower : exact, found + t);
                    continue;
                }
                int64_t* const one = found + t;
                count_greater<T, 1>(scores + from, middle - from, &lower, &one);
                count_greater<T, 1>(scores + middle, to - middle, &exact, &one);
            }
            all.template finish<TARGETS>();
        }
    });
}

// A heap of the best so far, the one to give way first at its root.
template <class T>
struct Heap {
    T* score;
    int32_t* column;
    int64_t size;

    inline bool gives_way(int64_t a, int64_t b) const {
        return score[a] < score[b] || (score[a] == score[b] && column[a] > column[b]);
    }
    inline void swap(int64_t a, int64_t b) {
        const T s = score[a];
        const int32_t c = column[a];
        score[a] = score[b];
        column[a] = column[b];
        score[b] = s;
        column[b] = c;
    }
    inline void sink(int64_t at, int64_t end) {
        for (;;) {
            int64_t child = 2 * at + 1;
            if (child >= end) return;
            if (child + 1 < end && gives_way(child + 1, child)) ++child;
            if (!gives_way(child, at)) return;
            swap(at, child);
            at = child;
        }
    }
    inline void rise(int64_t at) {
        for (; at && gives_way(at, (at - 1) / 2); at = (at - 1) / 2) swap(at, (at - 1) / 2);
    }
    inline void sort() {
        for (int64_t end = size - 1; end > 0; --end) {
            swap(0, end);
            sink(0, end);
        }
    }
};

// Whether any lane is set, by halves.
template <class W, int L>
inline bool any_set(const void* vector) {
    if constexpr (L * sizeof(W) == 16) {
        uint64_t words[2];
        __builtin_memcpy(words, vector, sizeof(words));
        return (words[0] | words[1]) != 0;
    } else {
        typedef W Half __attribute__((vector_size(L / 2 * sizeof(W))));
        Half low, high;
        __builtin_memcpy(&low, vector, sizeof(Half));
        __builtin_memcpy(&high, static_cast<const char*>(vector) + sizeof(Half), sizeof(Half));
        low |= high;
        return any_set<W, L / 2>(&low);
    }
}

template <class T>
inline bool any_greater(const T* scores, T limit) {
    typedef Lanes<T, LANES<T>> Ln;
    typedef typename Whole<T>::type W;
    typedef W S __attribute__((vector_size(FINREC_BYTES)));
    const typename Ln::V all = Ln::all(limit);
    S any = S{};
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) any |= Ln::load(scores + v * LANES<T>) > all;
    return any_set<W, LANES<T>>(&any);
}

template <class T>
void best(const Scores<T>& s, const Best<T>& b) {
    constexpr int64_t STEP = 4 * LANES<T>;
    for (int64_t i = 0; i < s.n_rows; ++i) b.found[i] = 0;
    each_segment(s, [&](int64_t row, const T* scores, int64_t start, int64_t n) {
        Heap<T> heap = {b.score + row * b.k, b.column + row * b.k, b.found[row]};
        const T none = -T(__builtin_inf());
        // columns come in rising order: an equal score never takes the place of one that is in
        T limit = heap.size == b.k ? heap.score[0] : none;
        for (int64_t from = 0; from < n; from += STEP) {
            const int64_t to = least(from + STEP, n);
            if (to - from == STEP && !any_greater(scores + from, limit)) continue;
            for (int64_t c = from; c < to; ++c) {
                if (!(scores[c] > limit)) continue;
                const int64_t at = heap.size < b.k ? heap.size++ : 0;
                heap.score[at] = scores[c];
                heap.column[at] = int32_t(start + c);
                if (at || heap.size == 1)
                    heap.rise(at);
                else
                    heap.sink(0, heap.size);
                if (heap.size == b.k) limit = heap.score[0];
            }
        }
        b.found[row] = heap.size;
        if (start + n == s.n_columns) heap.sort();
    });
}

template <class T>
void picked(const Scores<T>& s, const Picked<T>& p) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(s.threads) if (s.threads > 1)
#endif
    for (int64_t i = 0; i < s.n_rows; ++i) {
        alignas(64) T scores[TILE<T>];
        const T* row = s.left + i * s.width;
        for (int64_t t = p.at[i]; t < p.at[i + 1]; ++t) {
            const int64_t within_panel = p.column[t] % PANEL, lane = p.column[t] % TILE<T>;
            const int64_t panel = p.column[t] - within_panel, part = within_panel - lane;
            tile<T, 1>(&row, s.width, s.panels + panel * s.width + part, s.bias + panel + part,
                       scores);
            p.score[t] = scores[lane];
        }
    }
}

}  // namespace

#define JOINED(name) name##_ranking
#define TABLE(name) JOINED(name)
extern const RankingTable TABLE(FINREC_VARIANT);
const RankingTable TABLE(FINREC_VARIANT) = {
    {above<float>, best<float>, picked<float>},
    {above<double>, best<double>, picked<double>},
};
