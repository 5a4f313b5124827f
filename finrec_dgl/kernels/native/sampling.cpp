// Draws in-neighbours without replacement, less given edges, and numbers nodes as they come up.
//
// The k neighbours of a node are Floyd's sample (Bentley and Floyd, 1987) of the ranks 0 .. d - 1 of
// those of its d edges that are not left out: for each m = d - k .. d - 1 one number of 0 .. m, or m
// itself where that was drawn before. Every set of k is as likely as any other.
//
// A number follows from (key, node, how many were drawn before) alone, by the finaliser of
// SplitMix64 (Steele, Lea and Flood, 2014): the number of threads changes nothing.
#include <stdint.h>

#include "export.h"

namespace {

constexpr uint64_t GOLDEN = 0x9E3779B97F4A7C15u;
constexpr int64_t FEW = 64;   // up to so many numbers, looking through them all is quickest
constexpr int64_t AHEAD = 8;  // nodes between the prefetch of a row and its use

inline uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// of 0 .. bound - 1; 52 bits, so that the product is below bound after rounding too
inline int32_t draw(uint64_t node_key, int64_t number, int64_t bound) {
    const uint64_t bits = mix(node_key + GOLDEN * uint64_t(number + 1)) >> 12;
    return int32_t(double(int64_t(bits)) * (1.0 / 4503599627370496.0) * double(bound));
}

inline bool among(const int32_t* chosen, int64_t n, int32_t one) {
    int32_t found = 0;
    for (int64_t j = 0; j < n; ++j) found |= chosen[j] == one;
    return found;
}

// A bit a number, modulo 64, tells of most that they were not drawn before; of 64 or fewer, of all.
template <bool EXACT>
inline void few_ranks(uint64_t node_key, int64_t left, int64_t k, int32_t* chosen) {
    uint64_t seen = 0;
    for (int64_t j = 0; j < k; ++j) {
        const int64_t most = left - k + j;
        int32_t one = draw(node_key, j, most + 1);
        if (EXACT)
            one = seen >> one & 1 ? int32_t(most) : one;
        else if (seen >> (one & 63) & 1 && among(chosen, j, one))
            one = int32_t(most);
        seen |= uint64_t(1) << (one & 63);
        chosen[j] = one;
    }
}

// bits: all zero, before and after
void many_ranks(uint64_t node_key, int64_t left, int64_t k, uint64_t* bits, int32_t* chosen) {
    for (int64_t j = 0; j < k; ++j) {
        const int64_t most = left - k + j;
        int32_t one = draw(node_key, j, most + 1);
        if (bits[one >> 6] >> (one & 63) & 1) one = int32_t(most);
        bits[one >> 6] |= uint64_t(1) << (one & 63);
        chosen[j] = one;
    }
    for (int64_t j = 0; j < k; ++j) bits[chosen[j] >> 6] = 0;
}

struct Span {
    int64_t from, to;
};

// what is left out of the edges of a node that end before `end`, as a span of `gone`
inline Span gone_of(const int32_t* first, int64_t node, const int32_t* gone, int64_t n_gone,
                    int64_t end) {
    if (!first || !first[node]) return {0, 0};
    Span span = {first[node] - 1, first[node]};
    while (span.to < n_gone && gone[span.to] < end) ++span.to;
    return span;
}

}  // namespace

// How many neighbours each of `nodes` gets: at most fanout (below 0: all), as running sums.
// indptr, indices: the in-neighbours of all nodes. gone: places in indices to leave out, distinct
// and rising; first: for each node where its first one stands in gone, plus 1, or 0 without any;
// null where nothing is left out. indptr_out: room for n + 1.
EXPORT void finrec_count_neighbours(int64_t n, int64_t fanout, const int32_t* nodes,
                                    const int32_t* indptr, const int32_t* first, int64_t n_gone,
                                    const int32_t* gone, int32_t* indptr_out) {
    indptr_out[0] = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t node = nodes[i], begin = indptr[node], end = indptr[node + 1];
        const Span out = gone_of(first, node, gone, n_gone, end);
        int64_t left = end - begin - (out.to - out.from);
        if (fanout >= 0 && left > fanout) left = fanout;
        indptr_out[i + 1] = indptr_out[i] + int32_t(left);
    }
}

// The neighbours themselves, by their numbers in the whole graph. bits: for each thread `words` of
// zeros, a bit for each edge of the node that has most; may be null where fanout is at most 64.
EXPORT void finrec_draw_neighbours(int64_t threads, int64_t n, int64_t fanout, uint64_t key,
                                   const int32_t* nodes, const int32_t* indptr,
                                   const int32_t* indices, const int32_t* first, int64_t n_gone,
                                   const int32_t* gone, int64_t words, uint64_t* bits,
                                   const int32_t* indptr_out, int32_t* indices_out) {
    const int64_t part = (n + threads - 1) / threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(threads)) if (threads > 1)
#endif
    for (int64_t t = 0; t < threads; ++t) {
        const int64_t last = (t + 1) * part < n ? (t + 1) * part : n;
        for (int64_t i = t * part; i < last; ++i) {
            if (i + 2 * AHEAD < last) __builtin_prefetch(indptr + nodes[i + 2 * AHEAD]);
            if (i + AHEAD < last) {
                const int32_t* row = indices + indptr[nodes[i + AHEAD]];
                __builtin_prefetch(row);
                __builtin_prefetch(row + 16);
            }
            const int64_t node = nodes[i], begin = indptr[node], end = indptr[node + 1];
            const Span out = gone_of(first, node, gone, n_gone, end);
            const int64_t left = end - begin - (out.to - out.from);
            const int64_t k = indptr_out[i + 1] - indptr_out[i];
            int32_t* to = indices_out + indptr_out[i];
            if (k == left) {
                int64_t next = out.from;
                for (int64_t e = begin; e < end; ++e)
                    if (next < out.to && gone[next] == e)
                        ++next;
                    else
                        *to++ = indices[e];
                continue;
            }
            const uint64_t node_key = mix(key + GOLDEN * uint64_t(node + 1));
            if (left <= 64)
                few_ranks<true>(node_key, left, k, to);
            else if (fanout <= FEW)
                few_ranks<false>(node_key, left, k, to);
            else
                many_ranks(node_key, left, k, bits + t * words, to);
            for (int64_t j = 0; j < k; ++j) {
                int64_t place = begin + to[j];
                for (int64_t g = out.from; g < out.to && gone[g] <= place; ++g) ++place;
                to[j] = indices[place];
            }
        }
    }
}

// Nodes by their numbers in the whole graph, in place by their numbers in the block: those that have
// one in `table` (-1: none) keep it, others get the next of *count and are noted in `seen`.
EXPORT void finrec_number_nodes(int64_t n, int32_t* nodes, int32_t* table, int32_t* seen,
                                int64_t* count) {
    int64_t next = *count;
    for (int64_t e = 0; e < n; ++e) {
        const int32_t node = nodes[e];
        int32_t number = table[node];
        if (number < 0) {
            number = table[node] = int32_t(next);
            seen[next++] = node;
        }
        nodes[e] = number;
    }
    *count = next;
}
