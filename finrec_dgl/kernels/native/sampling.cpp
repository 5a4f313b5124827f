// Draws in-neighbours without replacement, less given edges, and numbers nodes as they come up.
//
// The k neighbours of a node are Floyd's sample (Bentley and Floyd, 1987) of the ranks 0 .. d - 1 of
// those of its d edges that are not left out: for each m = d - k .. d - 1 one number of 0 .. m, or m
// itself where that was drawn before. Every set of k is as likely as any other.
//
// A number follows from (key, node, how many were drawn before) alone, by the finaliser of
// SplitMix64 (Steele, Lea and Flood, 2014): the number of threads changes nothing.
#include <stdint.h>

#include <algorithm>

#include "draws.h"
#include "export.h"

namespace {

constexpr int64_t AHEAD = 8;  // nodes between the prefetch of a row and its use

struct Span {
    int64_t from, to;
};

// Edges to leave out: their places, distinct and rising; a bit for each node that has one, few enough
// words to stay in the first cache; and where the first of such a node stands in `places`.
struct Gone {
    int64_t n;
    const int32_t* places;
    const uint64_t* marked;
    const int32_t* first;
};

// those of a node whose edges end before `end`, as a span of the places
inline Span gone_of(const Gone& gone, int64_t node, int64_t end) {
    if (!gone.n || !(gone.marked[node >> 6] >> (node & 63) & 1)) return {0, 0};
    Span span = {gone.first[node], gone.first[node] + 1};
    while (span.to < gone.n && gone.places[span.to] < end) ++span.to;
    return span;
}

}  // namespace

// Marks the edges ids[0 .. n), which may repeat, as left out. place, target: of every edge, where it
// stands in the order of the targets, and its target. room: for n; places: room for n, of which
// *count are filled; marked: a bit for each node, all 0 before; first: for each node.
EXPORT void finrec_mark_gone(int64_t n, const int64_t* ids, const int32_t* place,
                             const int32_t* target, int64_t* room, int32_t* places,
                             uint64_t* marked, int32_t* first, int64_t* count) {
    for (int64_t i = 0; i < n; ++i) room[i] = int64_t(place[ids[i]]) << 32 | target[ids[i]];
    std::sort(room, room + n);
    int64_t m = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (i && room[i] == room[i - 1]) continue;
        const int32_t node = int32_t(room[i]);
        const uint64_t bit = uint64_t(1) << (node & 63);
        if (!(marked[node >> 6] & bit)) first[node] = int32_t(m);
        marked[node >> 6] |= bit;
        places[m++] = int32_t(room[i] >> 32);
    }
    *count = m;
}

// Takes the marks back.
EXPORT void finrec_unmark_gone(int64_t n, const int64_t* ids, const int32_t* target,
                               uint64_t* marked) {
    for (int64_t i = 0; i < n; ++i) marked[target[ids[i]] >> 6] = 0;
}

// How many neighbours each of `nodes` gets: at most fanout (below 0: all), as running sums.
// indptr, indices: the in-neighbours of all nodes. places, marked, first: what is left out, as
// finrec_mark_gone gives it, null without any. indptr_out: room for n + 1.
EXPORT void finrec_count_neighbours(int64_t n, int64_t fanout, const int32_t* nodes,
                                    const int32_t* indptr, int64_t n_gone, const int32_t* places,
                                    const uint64_t* marked, const int32_t* first,
                                    int32_t* indptr_out) {
    const Gone gone = {n_gone, places, marked, first};
    indptr_out[0] = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t node = nodes[i], begin = indptr[node], end = indptr[node + 1];
        const Span out = gone_of(gone, node, end);
        int64_t left = end - begin - (out.to - out.from);
        if (fanout >= 0 && left > fanout) left = fanout;
        indptr_out[i + 1] = indptr_out[i] + int32_t(left);
    }
}

// The neighbours themselves, by their numbers in the whole graph. bits: for each thread `words` of
// zeros, a bit for each edge of the node that has most; may be null where fanout is at most 64.
EXPORT void finrec_draw_neighbours(int64_t threads, int64_t n, int64_t fanout, uint64_t key,
                                   const int32_t* nodes, const int32_t* indptr,
                                   const int32_t* indices, int64_t n_gone, const int32_t* places,
                                   const uint64_t* marked, const int32_t* first, int64_t words,
                                   uint64_t* bits, const int32_t* indptr_out,
                                   int32_t* indices_out) {
    const Gone gone = {n_gone, places, marked, first};
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
            const Span out = gone_of(gone, node, end);
            const int64_t left = end - begin - (out.to - out.from);
            const int64_t k = indptr_out[i + 1] - indptr_out[i];
            int32_t* to = indices_out + indptr_out[i];
            if (k == left) {
                int64_t next = out.from;
                for (int64_t e = begin; e < end; ++e)
                    if (next < out.to && places[next] == e)
                        ++next;
                    else
                        *to++ = indices[e];
                continue;
            }
            const uint64_t node_key = mix(key + GOLDEN * uint64_t(node + 1));
            draw_ranks(node_key, left, k, fanout > FEW ? bits + t * words : nullptr, to);
            for (int64_t j = 0; j < k; ++j) {
                int64_t place = begin + to[j];
                for (int64_t g = out.from; g < out.to && places[g] <= place; ++g) ++place;
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

// What users hold among the candidates: allowed[b * n_items + c] = 0 where the user of row b holds
// candidate c. user: of each row; indptr, item: what users hold; column: where an item stands among
// the candidates, or -1. allowed: room for n_rows * n_items, 1 throughout before.
EXPORT void finrec_mask_held(int64_t n_rows, int64_t n_items, const int32_t* user,
                             const int64_t* indptr, const int32_t* item, const int32_t* column,
                             uint8_t* allowed) {
    for (int64_t b = 0; b < n_rows; ++b, allowed += n_items)
        for (int64_t e = indptr[user[b]]; e < indptr[user[b] + 1]; ++e) {
            const int32_t c = column[item[e]];
            if (c >= 0) allowed[c] = 0;
        }
}
