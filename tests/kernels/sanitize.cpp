// Runs every kernel at random shapes, each array a piece of memory of just its size.
#include <stdint.h>
#include <stdio.h>

#include <memory>
#include <random>
#include <vector>

extern "C" {
void finrec_compress(int64_t, int64_t, const int32_t*, const int32_t*, int32_t*, int32_t*);
void finrec_transpose(int64_t, int64_t, const int32_t*, const int32_t*, int32_t*, int32_t*);
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
    void finrec_gate_##name(int64_t, int64_t, int64_t, int64_t, int64_t, const T*, const T*,     \
                            const T*, const T*, const T*, const T*, const T*, const uint8_t*,    \
                            T*, T*);                                                             \
    void finrec_gate_grad_##name(int64_t, int64_t, int64_t, int64_t, int64_t, const T*,          \
                                 const T*, const T*, const T*, const T*, const T*, const T*,     \
                                 const T*, const T*, const T*, const uint8_t*, T*, const T*,     \
                                 const T*, T*, T*, T*, T*);                                      \
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
        finrec_gate_##name(level, threads, n, dim, heads, gate.get(), a.get(), b.get(),         \
                           one.get(), one.get(), text.get(), state.get(), there.get(),          \
                           value.get(), score.get());                                           \
        const int64_t weights = 4 * square + 2 * dim;                                           \
        auto room = fill<T>(16 * weights), to_weights = fill<T>(weights);                       \
        auto to_text = fill<T>(size), to_state = fill<T>(size);                                 \
        for (T* to : {static_cast<T*>(nullptr), to_text.get()})                                 \
            finrec_gate_grad_##name(level, threads, n, dim, heads, gate.get(), a.get(),         \
                                    b.get(), one.get(), one.get(), gate.get(), a.get(),         \
                                    b.get(), text.get(), state.get(), there.get(),              \
                                    value.get(), grad.get(), score.get(), room.get(), to,       \
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
        for (int64_t dim : {16, 48, 64, 256})
            for (int64_t relations : {1, 2, 5}) {
                run_nodes_f32(level, dim, relations);
                run_nodes_f64(level, dim, relations);
                done += 2;
            }
    printf("%lld\n", static_cast<long long>(done));
}
