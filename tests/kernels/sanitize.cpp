// Runs every kernel at random shapes, each array a piece of memory of just its size.
#include <stdint.h>
#include <stdio.h>

#include <memory>
#include <random>
#include <vector>

extern "C" {
void finrec_compress(int64_t, int64_t, const int32_t*, const int32_t*, int32_t*, int32_t*);
void finrec_transpose(int64_t, int64_t, const int32_t*, const int32_t*, int32_t*, int32_t*);
void finrec_without(int64_t, int64_t, const int32_t*, const int32_t*, const int32_t*, int32_t*,
                    int32_t*);
void finrec_mark_gone(int64_t, const int64_t*, const int32_t*, const int32_t*, int64_t*, int32_t*,
                      uint64_t*, int32_t*, int64_t*);
void finrec_unmark_gone(int64_t, const int64_t*, const int32_t*, uint64_t*);
void finrec_count_neighbours(int64_t, int64_t, const int32_t*, const int32_t*, int64_t,
                             const int32_t*, const uint64_t*, const int32_t*, int32_t*);
void finrec_draw_neighbours(int64_t, int64_t, int64_t, uint64_t, const int32_t*, const int32_t*,
                            const int32_t*, int64_t, const int32_t*, const uint64_t*,
                            const int32_t*, int64_t, uint64_t*, const int32_t*, int32_t*);
void finrec_number_nodes(int64_t, int32_t*, int32_t*, int32_t*, int64_t*);
void finrec_mask_held(int64_t, int64_t, const int64_t*, const int64_t*, const int64_t*,
                      const int32_t*, uint8_t*);
#define DECLARE(T, name)                                                                         \
    void finrec_attend_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*, const int32_t*, \
                              int64_t, int64_t, double, double, uint64_t, const T*, const T*,    \
                              const T*, T*, T*, T*, T*);                                         \
    void finrec_attend_grad_##name(int64_t, int64_t, int64_t, int64_t, int64_t, const int32_t*,  \
                                   const int32_t*, int64_t, int64_t, double, double, uint64_t,   \
                                   const T*, const T*, const T*, const T*, const T*, const T*,   \
                                   const T*, const T*, T*, T*, T*, T*);                          \
    void finrec_sum_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*, const int32_t*,   \
                           int64_t, const T*, const T*, T*);
DECLARE(float, f32)
DECLARE(double, f64)
}

static std::mt19937 generator(0);

static int64_t draw(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(generator);
}

template <class T>
static std::unique_ptr<T[]> fill(int64_t n) {
    std::unique_ptr<T[]> made(new T[n]);
    for (int64_t k = 0; k < n; ++k) made[k] = std::normal_distribution<T>(0, 2)(generator);
    return made;
}

static std::unique_ptr<int32_t[]> room(int64_t n) {
    return std::unique_ptr<int32_t[]>(new int32_t[n]());
}

// a sample of neighbours, with and without edges left out, and its nodes' numbers
static void sample(int64_t threads, int64_t n_src, int64_t n_dst, const int32_t* indptr,
                   const int32_t* indices, int64_t n_ids, const int32_t* ids) {
    const int64_t n = indptr[n_dst];
    auto nodes = room(n_dst), first = room(n_dst), place = room(n), target = room(n);
    for (int64_t i = 0; i < n_dst; ++i) {
        nodes[i] = int32_t(i);
        for (int64_t e = indptr[i]; e < indptr[i + 1]; ++e) {
            place[e] = int32_t(e);
            target[e] = int32_t(i);
        }
    }
    const std::vector<int64_t> edges(ids, ids + n_ids);
    std::vector<int64_t> keys(edges);
    auto places = room(n_ids);
    std::vector<uint64_t> marked(size_t(n_dst / 64 + 1));
    const int64_t words = n / 64 + 1;
    std::vector<uint64_t> bits(size_t(threads * words));
    for (int64_t fanout : {-1, 1, 10, 64, 200})
        for (int64_t with : {0, 1}) {
            int64_t n_gone = 0;
            if (with)
                finrec_mark_gone(n_ids, edges.data(), place.get(), target.get(), keys.data(),
                                 places.get(), marked.data(), first.get(), &n_gone);
            auto at = room(n_dst + 1);
            finrec_count_neighbours(n_dst, fanout, nodes.get(), indptr, n_gone, places.get(),
                                    marked.data(), first.get(), at.get());
            auto to = room(at[n_dst]), table = room(n_src), seen = room(n_src);
            finrec_draw_neighbours(threads, n_dst, fanout, 7, nodes.get(), indptr, indices, n_gone,
                                   places.get(), marked.data(), first.get(), words, bits.data(),
                                   at.get(), to.get());
            finrec_unmark_gone(n_ids, edges.data(), target.get(), marked.data());
            for (int64_t j = 0; j < n_src; ++j) table[j] = -1;
            int64_t count = 0;
            finrec_number_nodes(at[n_dst], to.get(), table.get(), seen.get(), &count);
            // receivers as users, senders as items, those that came up as candidates
            std::vector<int64_t> user(nodes.get(), nodes.get() + n_dst);
            std::vector<int64_t> held_at(indptr, indptr + n_dst + 1);
            std::vector<int64_t> held(indices, indices + n);
            std::vector<uint8_t> allowed(size_t(n_dst * count), 1);
            finrec_mask_held(n_dst, count, user.data(), held_at.data(), held.data(), table.get(),
                             allowed.data());
        }
}

#define RUN(T, name)                                                                            \
    static void run_##name(int64_t level, int64_t heads, int64_t width) {                       \
        const int64_t n_src = draw(1, 30), n_dst = draw(1, 9);                                  \
        const int64_t n = draw(0, 3) ? draw(0, 1500) : 0, threads = draw(1, 2);                 \
        const int64_t row = heads * width;                                                      \
        auto source = room(n), target = room(n), at = room(n_src + 1), to = room(n);            \
        for (int64_t e = 0; e < n; ++e) {                                                       \
            source[e] = int32_t(draw(0, n_src - 1));                                            \
            target[e] = int32_t(draw(0, n_dst - 1));                                            \
        }                                                                                       \
        finrec_compress(n_src, n, source.get(), target.get(), at.get(), to.get());              \
        auto by_dst = room(n_dst + 1), senders = room(n);                                       \
        finrec_transpose(n_src, n_dst, at.get(), to.get(), by_dst.get(), senders.get());        \
        auto by_src = room(n_src + 1), receivers = room(n);                                     \
        finrec_transpose(n_dst, n_src, by_dst.get(), senders.get(), by_src.get(),               \
                         receivers.get());                                                      \
        auto gone = room(n), less_at = room(n_dst + 1);                                         \
        int64_t n_gone = 0;                                                                     \
        for (int64_t e = 0; e < n; ++e)                                                         \
            if (!draw(0, 3)) gone[n_gone++] = int32_t(e);                                       \
        auto exact = room(n_gone), less = room(n - n_gone);                                     \
        for (int64_t g = 0; g < n_gone; ++g) exact[g] = gone[g];                                \
        finrec_without(n_dst, n_gone, by_dst.get(), senders.get(), exact.get(), less_at.get(),  \
                       less.get());                                                             \
        sample(threads, n_src, n_dst, by_dst.get(), senders.get(), n_gone, exact.get());        \
        auto s = fill<T>(n_src * heads), d = fill<T>(n_dst * heads), v = fill<T>(n_src * row);  \
        auto out = fill<T>(n_dst * row), lean = fill<T>(n_dst * row);                           \
        auto top = fill<T>(n_dst * heads), inverse = fill<T>(n_dst * heads);                    \
        auto grad = fill<T>(n_dst * row), packed = fill<T>(n_dst * 4 * heads);                  \
        auto gs = fill<T>(n_src * heads), gd = fill<T>(n_dst * heads), gv = fill<T>(n_src * row); \
        const double dropout = draw(0, 1) ? 0.3 : 0.0;                                          \
        for (T* second : {static_cast<T*>(nullptr), lean.get()})                                \
            finrec_attend_##name(level, threads, n_dst, n, by_dst.get(), senders.get(), heads,  \
                                 width, 0.2, dropout, 7, s.get(), d.get(), v.get(), out.get(),  \
                                 second, top.get(), inverse.get());                             \
        finrec_attend_grad_##name(level, threads, n_src, n_dst, n, by_src.get(),                \
                                  receivers.get(), heads, width, 0.2, dropout, 7, s.get(),      \
                                  d.get(), v.get(), out.get(), lean.get(), top.get(),           \
                                  inverse.get(), grad.get(), packed.get(), gs.get(), gd.get(),  \
                                  gv.get());                                                    \
        finrec_sum_##name(level, threads, n_dst, n, by_dst.get(), senders.get(), row, nullptr,  \
                          v.get(), out.get());                                                  \
    }
RUN(float, f32)
RUN(double, f64)

int main() {
    const int64_t heads[] = {1, 2, 3, 4, 5, 8, 17, 128}, widths[] = {1, 3, 4, 7, 8, 16, 32};
    int64_t done = 0;
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t h : heads)
            for (int64_t w : widths)
                for (int repeat = 0; repeat < 2; ++repeat, ++done) {
                    run_f32(level, h, w);
                    run_f64(level, h, w);
                }
    printf("%lld\n", static_cast<long long>(done));
}
