// Runs every kernel at random shapes, each array a piece of memory of just its size.
#include <stdint.h>
#include <stdio.h>

#include <memory>
#include <random>
#include <utility>
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
void finrec_move_rows(int64_t, int64_t, int64_t, const int64_t*, const float*, double, double, double,
                      double, double, float*, float*, float*);
void finrec_code_strings(int64_t, int64_t, const int32_t*, const uint8_t*, int64_t, uint64_t*, void*,
                         int64_t*, int32_t*, int64_t*);
void finrec_move_slots(int64_t, const uint64_t*, int64_t, uint64_t*);
void finrec_near_users(int64_t, int64_t, int64_t, int64_t, const int64_t*, const int32_t*,
                       const int32_t*, const int32_t*, const int32_t*, const int32_t*, const float*,
                       const float*, const float*, const int64_t*, const int32_t*, const uint8_t*,
                       int32_t*);
void finrec_shared_items(int64_t, int64_t, int64_t, int64_t, const int64_t*, const int32_t*,
                         const int32_t*, const int64_t*, const int32_t*, const float*, float*);
void finrec_peer_sum(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const int32_t*,
                     const int64_t*, const int32_t*, const float*, const float*, float*);
void finrec_peer_sum_grad(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const int32_t*,
                          const int64_t*, const int32_t*, const float*, const float*, float*);
void finrec_slot_sum(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t*,
                     const int32_t*, const int64_t*, const int32_t*, const int64_t*, const int32_t*,
                     const float*, int64_t, const int32_t*, const float*, float*, float*);
void finrec_slot_sum_grad(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const int64_t*,
                          const int32_t*, const int64_t*, const int32_t*, const int64_t*,
                          const int32_t*, const float*, int64_t, const int32_t*, const float*,
                          const float*, float*);
void finrec_slot_top(int64_t, int64_t, int64_t, int64_t, const int64_t*, const int32_t*,
                     const int64_t*, const int32_t*, const int64_t*, const int32_t*, const float*,
                     const float*, int32_t*);
void finrec_distinct_slots(int64_t, int64_t, int64_t, int32_t*);
void finrec_near_items(int64_t, int64_t, int64_t, int64_t, int64_t, uint64_t, const int64_t*,
                       const int32_t*, const int64_t*, const int32_t*, const float*, const float*,
                       const float*, int64_t*, int32_t*, float*);
#define SCORES(T)                                                                          \
    int64_t, int64_t, int64_t, int64_t, const T *, int64_t, const int32_t *, uint8_t *, int64_t, \
        const T *, const T *, const T *, const int64_t *, const int32_t *
void finrec_mask_held(int64_t, int64_t, const int32_t*, const int64_t*, const int32_t*,
                      const int32_t*, uint8_t*);
#define DECLARE(T, R, name)                                                                      \
    void finrec_attend_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*, const int32_t*, \
                              int64_t, int64_t, double, double, uint64_t, const T*, const T*,    \
                              const R*, T*, T*, T*, T*);                                         \
    void finrec_attend_grad_##name(int64_t, int64_t, int64_t, int64_t, int64_t, const int32_t*,  \
                                   const int32_t*, int64_t, int64_t, double, double, uint64_t,   \
                                   const T*, const T*, const R*, const T*, const T*, const T*,   \
                                   const T*, const T*, T*, R*, T*, T*, R*);                      \
    void finrec_sum_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*, const int32_t*,   \
                           int64_t, const T*, const R*, T*);
#define DECLARE_NODES(T, name)                                                                   \
    void finrec_drop_##name(int64_t, int64_t, int64_t, double, uint64_t, const T*, T*);          \
    void finrec_log_sums_##name(int64_t, int64_t, int64_t, int64_t, const T*, const uint8_t*,    \
                                T*);                                                             \
    void finrec_log_sums_grad_##name(int64_t, int64_t, int64_t, int64_t, const T*,               \
                                     const uint8_t*, const T*, const T*, T*);                    \
    void finrec_above_##name(SCORES(T), const int64_t*, int64_t, const T*, int64_t,              \
                             const int32_t*, const int32_t*, int64_t*);                          \
    void finrec_best_##name(SCORES(T), int64_t, T*, int32_t*, int64_t*);                         \
    void finrec_picked_##name(SCORES(T), const int64_t*, const int32_t*, T*);                    \
    void finrec_gate_##name(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,       \
                            const T*, const T*, const T*, const T*, const T*, const T*,          \
                            const T*, const T*, const uint8_t*, T*, T*, T* const*);              \
    void finrec_gate_grad_##name(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,  \
                                 const T*, const T*, const T*, const T*, const T*, const T*,     \
                                 const T*, const T*, const T*, const T*, const T*,               \
                                 const uint8_t*, T*, const T*, const T*, const T* const*,        \
                                 int64_t, T*, T*, T*, T*);                                       \
    void finrec_mix_##name(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const T*,       \
                           const T*, const T*, const T*, const T* const*, const uint8_t*,        \
                           const T*, T*);                                                        \
    void finrec_mix_grad_##name(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const T*,  \
                                const T*, const T*, const T*, const T*, const T*,                \
                                const T* const*, const uint8_t*, const T*, T*, const T*, T*,     \
                                T* const*, T*, T*);
DECLARE(float, float, f32)
DECLARE(double, double, f64)
DECLARE(float, uint16_t, bf16)
DECLARE_NODES(float, f32)
DECLARE_NODES(double, f64)
#define DECLARE_MESSAGES(T, name)                                                                \
    void finrec_edge_softmax_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*,          \
                                    const int32_t*, const int32_t*, int64_t, double, const T*,   \
                                    const T*, const T*, T*);                                     \
    void finrec_edge_softmax_grad_##name(                                                        \
        int64_t, int64_t, int64_t, int64_t, const int32_t*, const int32_t*, const int32_t*,      \
        int64_t, const int32_t*, const int32_t*, int64_t, double, const T*, const T*, const T*,  \
        T*, const T*, T*, T*, T*);                                                               \
    void finrec_messages_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*,              \
                                const int32_t*, const int32_t*, int64_t, int64_t, int64_t,       \
                                const T*, const T*, const T*, const T*, const T*, const T*,      \
                                const T*, T*);                                                   \
    void finrec_messages_grad_##name(int64_t, int64_t, int64_t, int64_t, const int32_t*,         \
                                     const int32_t*, const int32_t*, int64_t, int64_t, int64_t,  \
                                     const T*, const T*, const T*, const T*, const T*,           \
                                     const T*, const T*, const T*, T*, T*, T*, T*, T*, T*, T*,   \
                                     T*);
DECLARE_MESSAGES(float, f32)
DECLARE_MESSAGES(double, f64)
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

// one in bfloat16, as many times
template <>
std::unique_ptr<uint16_t[]> fill<uint16_t>(int64_t n) {
    std::unique_ptr<uint16_t[]> made(new uint16_t[n]);
    for (int64_t k = 0; k < n; ++k) made[k] = 0x3F80;
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
            std::vector<int32_t> user(nodes.get(), nodes.get() + n_dst);
            std::vector<int64_t> held_at(indptr, indptr + n_dst + 1);
            std::vector<int32_t> held(indices, indices + n);
            std::vector<uint8_t> allowed(size_t(n_dst * count), 1);
            finrec_mask_held(n_dst, count, user.data(), held_at.data(), held.data(), table.get(),
                             allowed.data());
        }
}

#define RUN(T, R, name)                                                                         \
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
        auto s = fill<T>(n_src * heads), d = fill<T>(n_dst * heads);                            \
        auto v = fill<R>(n_src * row);                                                          \
        auto out = fill<T>(n_dst * row), lean = fill<T>(n_dst * row);                           \
        auto top = fill<T>(n_dst * heads), inverse = fill<T>(n_dst * heads);                    \
        auto grad = fill<T>(n_dst * row), packed = fill<T>(n_dst * 4 * heads);                  \
        auto brief = fill<R>(n_dst * row);                                                      \
        auto gs = fill<T>(n_src * heads), gd = fill<T>(n_dst * heads);                          \
        auto gv = fill<R>(n_src * row);                                                         \
        const double dropout = draw(0, 1) ? 0.3 : 0.0;                                          \
        for (T* second : {static_cast<T*>(nullptr), lean.get()})                                \
            finrec_attend_##name(level, threads, n_dst, n, by_dst.get(), senders.get(), heads,  \
                                 width, 0.2, dropout, 7, s.get(), d.get(), v.get(), out.get(),  \
                                 second, top.get(), inverse.get());                             \
        finrec_attend_grad_##name(level, threads, n_src, n_dst, n, by_src.get(),                \
                                  receivers.get(), heads, width, 0.2, dropout, 7, s.get(),      \
                                  d.get(), v.get(), out.get(), lean.get(), top.get(),           \
                                  inverse.get(), grad.get(), packed.get(), brief.get(),         \
                                  gs.get(), gd.get(),  \
                                  gv.get());                                                    \
        finrec_sum_##name(level, threads, n_dst, n, by_dst.get(), senders.get(), row, nullptr,  \
                          v.get(), out.get());                                                  \
    }
RUN(float, float, f32)
RUN(double, double, f64)
RUN(float, uint16_t, bf16)

// Lists of columns, each rising: where each row's begin, then the columns.
struct Lists {
    std::unique_ptr<int64_t[]> at;
    std::unique_ptr<int32_t[]> values;
};

static Lists lists(int64_t rows, int64_t columns, int64_t most) {
    std::vector<int32_t> found;
    std::unique_ptr<int64_t[]> at(new int64_t[rows + 1]());
    for (int64_t i = 0; i < rows; ++i) {
        for (int64_t c = 0, wanted = draw(0, most); c < columns && wanted; ++c)
            if (draw(0, columns) <= most) {
                found.push_back(int32_t(c));
                --wanted;
            }
        at[i + 1] = int64_t(found.size());
    }
    auto values = room(int64_t(found.size()));
    for (size_t k = 0; k < found.size(); ++k) values[k] = found[k];
    return {std::move(at), std::move(values)};
}

#define RANK(T, name)                                                                              \
    static void rank_##name(int64_t level, int64_t rows, int64_t n) {                              \
        const int64_t threads = draw(1, 2), width = draw(1, 9), stride = n + 2, k = draw(1, 9);    \
        const int64_t panels = (n + 47) / 48, parts = draw(1, 3);                                  \
        auto given = fill<T>(rows * stride), left = fill<T>(rows * width);                         \
        auto items = fill<T>(panels * width * 48), bias = fill<T>(panels * 48);                    \
        auto columns = room(n), first = room(parts + 1);                                           \
        for (int64_t c = 0; c < n; ++c) columns[c] = int32_t(stride - 1 - c);                      \
        for (int64_t p = 1; p < parts; ++p) first[p] = int32_t(draw(first[p - 1], n));             \
        first[parts] = int32_t(n);                                                                 \
        const Lists held = lists(rows, n, 9), asked = lists(rows, n, 21);                          \
        const int64_t targets = asked.at[rows];                                                    \
        auto score = fill<T>(targets);                                                             \
        auto border = room(parts * targets);                                                       \
        for (int64_t t = 0; t < parts * targets; ++t) border[t] = int32_t(draw(0, n));             \
        std::unique_ptr<int64_t[]> above(new int64_t[parts * targets]()), found(new int64_t[rows]); \
        std::unique_ptr<uint8_t[]> finite(new uint8_t[rows]);                                      \
        auto top = fill<T>(rows * k);                                                              \
        auto best = room(rows * k);                                                                \
        finrec_picked_##name(level, threads, rows, n, nullptr, 0, nullptr, nullptr, width,         \
                             left.get(), items.get(), bias.get(), held.at.get(),                   \
                             held.values.get(), asked.at.get(), asked.values.get(), score.get());  \
        for (bool product : {false, true}) {                                                       \
            const T* rows_given = product ? nullptr : given.get();                                 \
            finrec_above_##name(level, threads, rows, n, rows_given, stride, columns.get(),        \
                                finite.get(), width, left.get(), items.get(), bias.get(),          \
                                held.at.get(), held.values.get(), asked.at.get(), targets,         \
                                score.get(), parts, first.get(), border.get(), above.get());       \
            finrec_best_##name(level, threads, rows, n, rows_given, stride, columns.get(),         \
                               finite.get(), width, left.get(), items.get(), bias.get(),           \
                               held.at.get(), held.values.get(), k, top.get(), best.get(),         \
                               found.get());                                                       \
        }                                                                                          \
    }
RANK(float, f32)
RANK(double, f64)

// a layer's work by node; rows at and beside the edges of blocks and of parts
#define RUN_NODES(T, name)                                                                      \
    static void run_nodes_##name(int64_t level, int64_t dim, int64_t relations) {               \
        const int64_t n = draw(0, 3) ? draw(0, 1000) : 0, heads = draw(0, 1) ? 16 : 2;          \
        const int64_t threads = draw(1, 2), square = dim * dim, size = n * dim;                 \
        auto gate = fill<T>(2 * square), a = fill<T>(square), b = fill<T>(square);              \
        auto bias = fill<T>(relations * dim), one = fill<T>(dim);                               \
        auto text = fill<T>(size), state = fill<T>(size), value = fill<T>(size);                \
        auto score = fill<T>(n * heads), grad = fill<T>(size);                                  \
        std::unique_ptr<uint8_t[]> there(new uint8_t[relations * n]);                           \
        for (int64_t k = 0; k < relations * n; ++k) there[k] = uint8_t(draw(0, 1));             \
        const int64_t owns = draw(0, 3), received = draw(0, n), own = owns * heads;             \
        auto own_map = fill<T>(dim * ((own + 15) / 16 * 16));                                   \
        std::vector<std::unique_ptr<T[]>> own_scores;                                           \
        std::vector<T*> own_at;                                                                 \
        for (int64_t r = 0; r < owns; ++r) {                                                    \
            own_scores.push_back(fill<T>(received * heads));                                    \
            own_at.push_back(own_scores[r].get());                                              \
        }                                                                                       \
        finrec_gate_##name(level, threads, n, dim, heads, received, owns, gate.get(), a.get(),  \
                           b.get(), one.get(), one.get(), own_map.get(), text.get(),            \
                           state.get(), there.get(), value.get(), score.get(), own_at.data());  \
        const int64_t weights = 4 * square + (2 + own) * dim;                                   \
        auto room = fill<T>(16 * weights), to_weights = fill<T>(weights);                       \
        auto to_text = fill<T>(size), to_state = fill<T>(size);                                 \
        for (T* to : {static_cast<T*>(nullptr), to_text.get()})                                 \
            finrec_gate_grad_##name(level, threads, n, dim, heads, received, owns, gate.get(),  \
                                    a.get(), b.get(), one.get(), one.get(), gate.get(),         \
                                    a.get(), b.get(), own_map.get(), text.get(), state.get(),   \
                                    there.get(), value.get(), grad.get(), score.get(),          \
                                    own_at.data(), to != nullptr, room.get(), to,               \
                                    to_state.get(), to_weights.get());                          \
        std::vector<std::unique_ptr<T[]>> outs, grads;                                          \
        std::vector<T*> at, to;                                                                 \
        for (int64_t r = 0; r < relations; ++r) {                                               \
            outs.push_back(fill<T>(size));                                                      \
            grads.push_back(fill<T>(size));                                                     \
            at.push_back(outs[r].get());                                                        \
            to.push_back(grads[r].get());                                                       \
        }                                                                                       \
        const T* transform = relations > 1 ? a.get() : nullptr;                                 \
        const T* query = relations > 1 ? one.get() : nullptr;                                   \
        const int64_t mixer = 2 * square + (relations + 1) * dim, relu = draw(0, 1);            \
        auto mix_room = fill<T>(16 * (mixer + relations * 48 * dim)), made = fill<T>(mixer);    \
        finrec_mix_##name(level, threads, n, dim, relations, relu, b.get(), transform,          \
                          bias.get(), query, at.data(), there.get(), state.get(), value.get()); \
        finrec_mix_grad_##name(level, threads, n, dim, relations, relu, b.get(), transform,     \
                               bias.get(), query, b.get(), transform, at.data(), there.get(),   \
                               state.get(), relu ? value.get() : nullptr, grad.get(),           \
                               mix_room.get(), to.data(), to_state.get(), made.get());          \
    }
RUN_NODES(float, f32)
RUN_NODES(double, f64)
// Strings of up to 20 bytes, some often; the table begins too small and grows as it is filled.
static void code(int64_t n) {
    std::unique_ptr<int32_t[]> at = room(n + 1);
    for (int64_t i = 0; i < n; ++i) at[i + 1] = at[i] + int32_t(draw(0, 20));
    std::unique_ptr<uint8_t[]> bytes(new uint8_t[at[n]]);
    for (int64_t k = 0; k < at[n]; ++k) bytes[k] = uint8_t(draw(97, 98));
    int64_t bits = 8, state[2] = {0, 0};
    std::unique_ptr<uint64_t[]> slots(new uint64_t[1 << bits]());
    std::unique_ptr<int64_t[]> known(new int64_t[1 << bits]), row(new int64_t[1 << (bits - 1)]);
    auto codes = room(n);
    for (int64_t done = 0; done < n;) {
        finrec_code_strings(n - done, done, at.get() + done, bytes.get(), bits, slots.get(),
                            known.get(), row.get(), codes.get() + done, state);
        done += state[1];
        if (done == n) break;
        std::unique_ptr<uint64_t[]> more(new uint64_t[1 << (bits + 1)]());
        finrec_move_slots(bits, slots.get(), bits + 1, more.get());
        std::unique_ptr<int64_t[]> places(new int64_t[1 << (bits + 1)]), rows(new int64_t[1 << bits]);
        for (int64_t k = 0; k < 2 * state[0]; ++k) places[k] = known[k];
        for (int64_t k = 0; k < state[0]; ++k) rows[k] = row[k];
        slots = std::move(more);
        known = std::move(places);
        row = std::move(rows);
        ++bits;
    }
}

static void move_rows(int64_t n, int64_t width) {
    const int64_t size = n + draw(1, 9);
    auto gradient = fill<float>(n * width), table = fill<float>(size * width);
    auto mean = fill<float>(size * width), square = fill<float>(size * width);
    std::vector<int64_t> rows(n);
    for (int64_t i = 0; i < n; ++i) rows[i] = size - 1 - i;
    for (int64_t k = 0; k < size * width; ++k) square[k] *= square[k];
    finrec_move_rows(draw(1, 2), n, width, rows.data(), gradient.get(), .9, .999, .5, 1e-8, .1,
                     table.get(), mean.get(), square.get());
}

// Seeds, some unknown, with their peers: of every user who has one of their items, or is connected.
static void peers(int64_t seeds, int64_t users, int64_t k) {
    const int64_t items = draw(1, 40), threads = draw(1, 3), heads = draw(1, 3);
    const Lists held = lists(users, items, 9), history = lists(seeds, items, 9);
    const Lists holders = lists(items, users, 20), tied = lists(seeds, users, 3);
    auto self = room(seeds), local = room(items), found = room(seeds * k);
    for (int64_t b = 0; b < seeds; ++b) self[b] = int32_t(draw(-1, users - 1));
    // a row for each item that a seed has, and for no other
    int64_t rows = 0;
    std::vector<int32_t> drawn;
    std::unique_ptr<int32_t[]> ends(new int32_t[items + 1]());
    std::vector<uint8_t> asked(size_t(items), 0);
    for (int64_t e = 0; e < history.at[seeds]; ++e) asked[size_t(history.values[e])] = 1;
    for (int64_t c = 0; c < items; ++c) {
        local[c] = asked[size_t(c)] ? int32_t(rows) : -1;
        if (!asked[size_t(c)]) continue;
        const int32_t* users_of = holders.values.get();
        drawn.insert(drawn.end(), users_of + holders.at[c], users_of + holders.at[c + 1]);
        ends[++rows] = int32_t(drawn.size());
    }
    auto exact_ends = room(rows + 1), exact = room(int64_t(drawn.size()));
    for (int64_t r = 0; r <= rows; ++r) exact_ends[r] = ends[r];
    for (size_t e = 0; e < drawn.size(); ++e) exact[e] = drawn[e];
    auto weight = fill<float>(items), user_scale = fill<float>(users), scale = fill<float>(seeds);
    for (int64_t v = 0; v < users; ++v) user_scale[v] = 1.0f + user_scale[v] * user_scale[v];
    std::unique_ptr<uint8_t[]> known(new uint8_t[users]);
    for (int64_t v = 0; v < users; ++v) known[v] = held.at[v + 1] > held.at[v];
    finrec_near_users(threads, seeds, users, k, history.at.get(), history.values.get(), self.get(),
                      local.get(), exact_ends.get(), exact.get(), weight.get(), user_scale.get(),
                      scale.get(), tied.at.get(), tied.values.get(), known.get(), found.get());
    auto shared = fill<float>(seeds * k * 2);
    finrec_shared_items(threads, seeds, items, k, history.at.get(), history.values.get(),
                        found.get(), held.at.get(), held.values.get(), weight.get(), shared.get());
    const int64_t edges = held.at[users];
    auto fade = fill<float>(heads * edges), share = fill<float>(seeds * k * heads);
    auto sums = fill<float>(seeds * heads * items), to_share = fill<float>(seeds * k * heads);
    finrec_peer_sum(threads, seeds, items, k, heads, edges, found.get(), held.at.get(),
                    held.values.get(), fade.get(), share.get(), sums.get());
    finrec_peer_sum_grad(threads, seeds, items, k, heads, edges, found.get(), held.at.get(),
                         held.values.get(), fade.get(), sums.get(), to_share.get());
}

// Seeds with rows of a sparse matrix, some of none, read at slots; kind: 0 ones, 1 values that heads
// share, 2 values of each head.
static void slots(int64_t seeds, int64_t width, int64_t heads, int kind) {
    const int64_t n_rows = draw(1, 20), threads = draw(1, 3), columns = draw(0, 60), k = draw(0, 9);
    const Lists matrix = lists(n_rows, width, 9), seen = lists(seeds, width, 5);
    Lists rows = lists(seeds, n_rows, 9);
    const int64_t entries = rows.at[seeds], edges = matrix.at[n_rows];
    for (int64_t e = 0; e < entries; ++e)
        if (!draw(0, 4)) rows.values[e] = -1;
    auto slot = room(seeds * columns), top = room(seeds * k);
    for (int64_t c = 0; c < seeds * columns; ++c) slot[c] = int32_t(draw(-1, width - 1));
    auto values = fill<float>(edges * (kind == 2 ? heads : 1)), weight = fill<float>(heads * entries);
    auto out = fill<float>(seeds * heads * columns), total = fill<float>(seeds * heads);
    auto to_weight = fill<float>(heads * entries);
    const float* given = kind ? values.get() : nullptr;
    const int64_t stride = kind == 2 ? edges : 0;
    finrec_slot_sum(threads, seeds, width, heads, entries, columns, rows.at.get(),
                    rows.values.get(), seen.at.get(), seen.values.get(), matrix.at.get(),
                    matrix.values.get(), given, stride, slot.get(), weight.get(), out.get(),
                    total.get());
    finrec_slot_sum_grad(threads, seeds, width, heads, entries, columns, rows.at.get(),
                         rows.values.get(), seen.at.get(), seen.values.get(), matrix.at.get(),
                         matrix.values.get(), given, stride, slot.get(), out.get(), total.get(),
                         to_weight.get());
    finrec_slot_top(threads, seeds, width, k, rows.at.get(), rows.values.get(), seen.at.get(),
                    seen.values.get(), matrix.at.get(), matrix.values.get(), given, weight.get(),
                    top.get());
    finrec_distinct_slots(threads, seeds, columns, slot.get());
}

// Items near to each item over users, all of them or drawn ones.
static void near(int64_t users, int64_t items, int64_t fanout) {
    const Lists held = lists(users, items, 150);
    const int64_t edges = held.at[users], threads = draw(1, 3), most = draw(0, 9);
    std::unique_ptr<int64_t[]> at(new int64_t[items + 1]()), counts(new int64_t[items]);
    std::vector<std::vector<int32_t>> holders{size_t(items)};
    for (int64_t u = 0; u < users; ++u)
        for (int64_t e = held.at[u]; e < held.at[u + 1]; ++e)
            holders[size_t(held.values[e])].push_back(int32_t(u));
    auto of = room(edges);
    for (int64_t i = 0; i < items; ++i) {
        at[i + 1] = at[i];
        for (int32_t user : holders[size_t(i)]) of[at[i + 1]++] = user;
    }
    std::unique_ptr<float[]> by_size(new float[items + 1]), scale(new float[items]);
    for (int64_t size = 0; size <= items; ++size) by_size[size] = 1.0f;
    for (int64_t i = 0; i < items; ++i) scale[i] = .5f;
    auto indices = room(items * most);
    auto values = fill<float>(items * most);
    finrec_near_items(threads, items, users, most, fanout, 7, at.get(), of.get(), held.at.get(),
                      held.values.get(), by_size.get(), scale.get(), scale.get(), counts.get(),
                      indices.get(), values.get());
}

#define RUN_LOSSES(T, name)                                                                      \
    static void add_up_##name(int64_t level, int64_t rows, int64_t columns) {                    \
        auto scores = fill<T>(rows * columns), to = fill<T>(rows * columns);                     \
        auto total = fill<T>(rows), gradient = fill<T>(rows);                                    \
        std::unique_ptr<uint8_t[]> allowed(new uint8_t[size_t(rows * columns)]);                 \
        for (int64_t k = 0; k < rows * columns; ++k) allowed[k] = uint8_t(draw(0, 1));           \
        const int64_t threads = draw(1, 3);                                                      \
        finrec_drop_##name(level, threads, rows * columns, .4, 7, scores.get(), to.get());       \
        finrec_log_sums_##name(level, threads, rows, columns, scores.get(), allowed.get(),       \
                               total.get());                                                     \
        finrec_log_sums_grad_##name(level, threads, rows, columns, scores.get(), allowed.get(),  \
                                    total.get(), gradient.get(), to.get());                      \
    }
RUN_LOSSES(float, f32)
RUN_LOSSES(double, f64)

// places of edges in rows, and which edge stands at each: rows by `row`, with its other end
struct Placed {
    std::unique_ptr<int32_t[]> indptr, indices, order;
};

static Placed place(int64_t n_rows, int64_t n, const int32_t* row, const int32_t* column) {
    Placed made = {room(n_rows + 1), room(n), room(n)};
    auto number = room(n);
    for (int64_t e = 0; e < n; ++e) number[e] = int32_t(e);
    finrec_compress(n_rows, n, row, column, made.indptr.get(), made.indices.get());
    finrec_compress(n_rows, n, row, number.get(), made.indptr.get(), made.order.get());
    return made;
}

// `kind`: 0 the graph alone, 1 with text and fade, 2 with a gate of edges too
#define RUN_MESSAGES(T, name)                                                                    \
    static void send_##name(int64_t level, int64_t heads, int64_t width, int kind) {             \
        const int64_t n_src = draw(1, 30), n_dst = draw(1, 30), n = draw(0, 1) ? draw(0, 2000) : 0; \
        const int64_t size = heads * width, features = draw(1, 5), threads = draw(1, 3);         \
        const int64_t lanes = 64 / int64_t(sizeof(T));                                           \
        const int64_t weights = features * ((size + lanes - 1) / lanes * lanes);                 \
        auto source = room(n), target = room(n);                                                 \
        for (int64_t e = 0; e < n; ++e) {                                                        \
            source[e] = int32_t(draw(0, n_src - 1));                                             \
            target[e] = int32_t(draw(0, n_dst - 1));                                             \
        }                                                                                        \
        const Placed to = place(n_dst, n, target.get(), source.get());                           \
        const Placed from = place(n_src, n, source.get(), target.get());                         \
        auto score_src = fill<T>(n_src * heads), score_dst = fill<T>(n_dst * heads);             \
        auto score_edge = fill<T>(n * heads), alpha = fill<T>(n * heads);                        \
        auto grad_alpha = fill<T>(n * heads), to_src = fill<T>(n_src * heads);                   \
        auto to_dst = fill<T>(n_dst * heads), to_edge = fill<T>(n * heads);                      \
        const T* edge_scores = kind ? score_edge.get() : nullptr;                                \
        finrec_edge_softmax_##name(level, threads, n_dst, n, to.indptr.get(), to.indices.get(),  \
                                   to.order.get(), heads, .2, score_src.get(), score_dst.get(),  \
                                   edge_scores, alpha.get());                                    \
        finrec_edge_softmax_grad_##name(                                                         \
            level, threads, n_dst, n, to.indptr.get(), to.indices.get(), to.order.get(), n_src,  \
            from.indptr.get(), from.order.get(), heads, .2, score_src.get(), score_dst.get(),    \
            edge_scores, alpha.get(), grad_alpha.get(), to_src.get(), to_dst.get(),              \
            to_edge.get());                                                                      \
        auto graph = fill<T>(n_src * size), text = fill<T>(n_src * size);                        \
        auto logit = fill<T>(n_src * size), fade = fill<T>(n * heads);                           \
        auto feat = fill<T>(n * features), weight = fill<T>(weights), out = fill<T>(n_dst * size); \
        auto to_graph = fill<T>(n_src * size), to_text = fill<T>(n_src * size);                  \
        auto to_logit = fill<T>(n_src * size), to_fade = fill<T>(n * heads);                     \
        auto to_feat = fill<T>(n * features), to_weight = fill<T>(weights);                      \
        auto parts = fill<T>(32 * weights);                                                      \
        const bool gate = kind == 2;                                                             \
        const T* given[] = {graph.get(), kind ? text.get() : nullptr, alpha.get(),               \
                            kind ? fade.get() : nullptr, gate ? logit.get() : nullptr,           \
                            gate ? feat.get() : nullptr, gate ? weight.get() : nullptr};         \
        const int64_t told = gate ? features : 0;                                                \
        finrec_messages_##name(level, threads, n_dst, n, to.indptr.get(), to.indices.get(),      \
                               to.order.get(), heads, width, told, given[0], given[1],           \
                               given[2], given[3], given[4], given[5], given[6], out.get());     \
        finrec_messages_grad_##name(                                                             \
            level, threads, n_src, n, from.indptr.get(), from.indices.get(), from.order.get(),   \
            heads, width, told, given[0], given[1], given[2], given[3], given[4], given[5],      \
            given[6], out.get(), gate ? parts.get() : nullptr, to_graph.get(),                   \
            kind ? to_text.get() : nullptr, to_edge.get(), kind ? to_fade.get() : nullptr,       \
            gate ? to_logit.get() : nullptr, gate ? to_feat.get() : nullptr,                     \
            gate ? to_weight.get() : nullptr);                                                   \
    }
RUN_MESSAGES(float, f32)
RUN_MESSAGES(double, f64)

int main() {
    const int64_t heads[] = {1, 2, 3, 4, 5, 8, 17, 128}, widths[] = {1, 3, 4, 7, 8, 16, 32};
    int64_t done = 0;
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t h : heads)
            for (int64_t w : widths)
                for (int repeat = 0; repeat < 2; ++repeat, ++done) {
                    run_f32(level, h, w);
                    run_f64(level, h, w);
                    run_bf16(level, h, w);
                }
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t h : heads)
            for (int64_t w : widths)
                for (int kind = 0; kind < 3; ++kind, ++done) {
                    send_f32(level, h, w, kind);
                    send_f64(level, h, w, kind);
                }
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t rows : {1, 5, 8, 97, 200})
            for (int64_t columns : {1, 47, 48, 49, 959, 961, 2000}) {
                rank_f32(level, rows, columns);
                rank_f64(level, rows, columns);
                ++done;
            }
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t rows : {1, 5})
            for (int64_t columns : {1, 7, 8, 15, 16, 17, 100}) {
                add_up_f32(level, rows, columns);
                add_up_f64(level, rows, columns);
                ++done;
            }
    for (int64_t level = 0; level < 3; ++level)
        for (int64_t dim : {16, 48, 64, 256})
            for (int64_t relations : {1, 2, 5}) {
                run_nodes_f32(level, dim, relations);
                run_nodes_f64(level, dim, relations);
                ++done;
            }
    for (int64_t n : {0, 1, 63, 64, 65, 3000}) {
        code(n);
        ++done;
    }
    for (int64_t n : {0, 1, 2, 9, 100})
        for (int64_t width : {1, 15, 16, 17, 128}) {
            move_rows(n, width);
            ++done;
        }
    for (int64_t seeds : {0, 1, 2, 33})
        for (int64_t users : {1, 7, 100})
            for (int64_t k : {1, 5, 100}) {
                peers(seeds, users, k < users ? k : users);
                ++done;
            }
    for (int64_t seeds : {0, 1, 2, 33})
        for (int64_t width : {1, 7, 300})
            for (int64_t head_count : {1, 2, 3, 4, 5, 8})
                for (int kind = 0; kind < 3; ++kind) {
                    slots(seeds, width, head_count, kind);
                    ++done;
                }
    for (int64_t users : {1, 90, 300})
        for (int64_t items : {1, 40, 200})
            for (int64_t fanout : {-1, 0, 5, 64, 70}) {
                near(users, items, fanout);
                ++done;
            }
    printf("%lld\n", static_cast<long long>(done));
}
