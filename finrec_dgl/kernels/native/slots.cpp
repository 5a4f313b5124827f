// Messages of sparse rows at some items of each seed, their totals, the largest of them; and the
// nearest items of each item.
//
// Every row is computed by one thread in an order that depends on the row alone, so the number of
// threads changes nothing. No array of all seeds and all items is made: a thread has room for the
// items of one row, and cleans what it touched.
#include <stdint.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "export.h"

namespace {

inline int64_t threads_for(int64_t threads, int64_t rows) {
    return std::max<int64_t>(1, std::min(threads, rows));
}

struct Best {
    float value;
    int32_t item;
    // of equal values the smaller number
    bool operator<(const Best& other) const {
        return value != other.value ? value > other.value : item < other.item;
    }
};

// the rows of a sparse matrix: columns and, where there are any, values; several values an entry
// stand `stride` apart
struct Rows {
    const int64_t* at;
    const int32_t* columns;
    const float* values;
    int64_t stride;
    float value(int64_t head, int64_t entry) const {
        return values ? values[head * stride + entry] : 1.0f;
    }
};

inline uint64_t mixed(uint64_t x) {
    x += 0x9E3779B97F4A7C15ull;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

// `most` of `count` places, or all: evenly spread from a drawn start, so that each is as likely
struct Drawn {
    int64_t count, taken;
    double start;
    Drawn(int64_t count, int64_t most, uint64_t key)
        : count(count),
          taken(most < 0 || count <= most ? count : most),
          start(double(mixed(key) >> 11) * 0x1.0p-53) {}
    int64_t place(int64_t number) const {
        if (taken == count) return number;
        const double at = (double(number) + start) * double(count) / double(taken);
        return std::min<int64_t>(count - 1, int64_t(at));
    }
    float stands_for() const { return taken ? float(double(count) / double(taken)) : 0.0f; }
};

}  // namespace

// out[b, l, c] = message of row b and weights l to the item of slot c, 0 where the slot is -1; total
// [b, l] = its sum over all items that are not among the seen ones of the row.
//
// message(i) = sum over entries e of row b of weight[l, e] times the values of row r_e at i, with r_e
// = entries[e], -1 for none. values: one for each entry of the matrix, or (stride > 0) one more for
// each l; null: all 1.
EXPORT void finrec_slot_sum(int64_t threads, int64_t n, int64_t width, int64_t heads, int64_t slots,
                            int64_t n_entries, const int64_t* row_at, const int32_t* entries,
                            const float* weight, const int64_t* matrix_at, const int32_t* columns,
                            const float* values, int64_t stride, const int32_t* slot,
                            const int64_t* seen_at, const int32_t* seen, float* out, float* total) {
    const Rows rows{matrix_at, columns, values, stride};
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<float[]> sum(new float[width * heads]());
        std::vector<double> all(heads);
        for (int64_t b = t; b < n; b += used) {
            std::fill(all.begin(), all.end(), 0.0);
            for (int64_t e = row_at[b]; e < row_at[b + 1]; ++e) {
                const int32_t r = entries[e];
                if (r < 0) continue;
                for (int64_t l = 0; l < heads; ++l) {
                    const float by = weight[l * n_entries + e];
                    float* to = sum.get() + l;
                    float added = 0.0f;
                    for (int64_t k = rows.at[r]; k < rows.at[r + 1]; ++k) {
                        const float value = by * rows.value(l, k);
                        to[int64_t(columns[k]) * heads] += value;
                        added += value;
                    }
                    all[l] += added;
                }
            }
            for (int64_t c = 0; c < slots; ++c) {
                const int32_t item = slot[b * slots + c];
                for (int64_t l = 0; l < heads; ++l)
                    out[(b * heads + l) * slots + c] =
                        item < 0 ? 0.0f : sum[int64_t(item) * heads + l];
            }
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s)
                for (int64_t l = 0; l < heads; ++l) {
                    float& one = sum[int64_t(seen[s]) * heads + l];
                    all[l] -= one;
                    one = 0.0f;  // an item may stand there twice
                }
            for (int64_t l = 0; l < heads; ++l)
                total[b * heads + l] = float(std::max(all[l], 0.0));
            for (int64_t e = row_at[b]; e < row_at[b + 1]; ++e) {
                const int32_t r = entries[e];
                if (r < 0) continue;
                for (int64_t k = rows.at[r]; k < rows.at[r + 1]; ++k)
                    std::fill_n(sum.get() + int64_t(columns[k]) * heads, heads, 0.0f);
            }
        }
    }
}

// to_weight[l, e] = sum over the entries k of the row of e of its value times the gradient of the
// item there: what its slots have, and what the total has where the item is not seen.
EXPORT void finrec_slot_sum_grad(int64_t threads, int64_t n, int64_t width, int64_t heads,
                                 int64_t slots, int64_t n_entries, const int64_t* row_at,
                                 const int32_t* entries, const int64_t* matrix_at,
                                 const int32_t* columns, const float* values, int64_t stride,
                                 const int32_t* slot, const int64_t* seen_at, const int32_t* seen,
                                 const float* grad_out, const float* grad_total,
                                 float* to_weight) {
    const Rows rows{matrix_at, columns, values, stride};
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<float[]> grad(new float[width * heads]());
        std::unique_ptr<uint8_t[]> gone(new uint8_t[width]());
        for (int64_t b = t; b < n; b += used) {
            for (int64_t c = 0; c < slots; ++c) {
                const int32_t item = slot[b * slots + c];
                if (item < 0) continue;
                for (int64_t l = 0; l < heads; ++l)
                    grad[int64_t(item) * heads + l] += grad_out[(b * heads + l) * slots + c];
            }
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s) gone[seen[s]] = 1;
            for (int64_t e = row_at[b]; e < row_at[b + 1]; ++e) {
                const int32_t r = entries[e];
                for (int64_t l = 0; l < heads; ++l) {
                    const float every = grad_total[b * heads + l];
                    float found = 0.0f;
                    if (r >= 0)
                        for (int64_t k = rows.at[r]; k < rows.at[r + 1]; ++k) {
                            const int64_t item = columns[k];
                            const float one = grad[item * heads + l] + (gone[item] ? 0.0f : every);
                            found += rows.value(l, k) * one;
                        }
                    to_weight[l * n_entries + e] = found;
                }
            }
            for (int64_t c = 0; c < slots; ++c) {
                const int32_t item = slot[b * slots + c];
                if (item >= 0) std::fill_n(grad.get() + int64_t(item) * heads, heads, 0.0f);
            }
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s) gone[seen[s]] = 0;
        }
    }
}

// The k items of the largest message above 0 that a row has not seen, by falling message; -1 where
// there are fewer. best: room for n * k.
EXPORT void finrec_slot_top(int64_t threads, int64_t n, int64_t width, int64_t k,
                            const int64_t* row_at, const int32_t* entries, const float* weight,
                            const int64_t* matrix_at, const int32_t* columns, const float* values,
                            const int64_t* seen_at, const int32_t* seen, int32_t* best) {
    const Rows rows{matrix_at, columns, values, 0};
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<float[]> sum(new float[width]());
        std::vector<int32_t> touched;
        std::vector<Best> found;
        for (int64_t b = t; b < n; b += used) {
            touched.clear();
            found.clear();
            for (int64_t e = row_at[b]; e < row_at[b + 1]; ++e) {
                const int32_t r = entries[e];
                if (r < 0) continue;
                for (int64_t j = rows.at[r]; j < rows.at[r + 1]; ++j) {
                    float& one = sum[columns[j]];
                    if (one == 0.0f) touched.push_back(columns[j]);
                    one += weight[e] * rows.value(0, j);
                }
            }
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s) sum[seen[s]] = 0.0f;
            for (const int32_t item : touched) {
                if (sum[item] > 0.0f) found.push_back({sum[item], item});
                sum[item] = 0.0f;  // one that was touched twice is found once
            }
            const int64_t kept = std::min<int64_t>(k, int64_t(found.size()));
            if (kept < int64_t(found.size()))
                std::nth_element(found.begin(), found.begin() + kept, found.end());
            std::sort(found.begin(), found.begin() + kept);
            for (int64_t j = 0; j < k; ++j) best[b * k + j] = j < kept ? found[j].item : -1;
        }
    }
}

// Puts -1 in place of an item that stands in its row before, or that the row has seen. slots: n *
// count, changed in place; its items are below width.
EXPORT void finrec_distinct(int64_t threads, int64_t n, int64_t width, int64_t count,
                            const int64_t* seen_at, const int32_t* seen, int32_t* slots) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<uint8_t[]> there(new uint8_t[width]());
        for (int64_t b = t; b < n; b += used) {
            int32_t* row = slots + b * count;
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s) there[seen[s]] = 1;
            for (int64_t c = 0; c < count; ++c) {
                if (row[c] < 0) continue;
                if (there[row[c]]) row[c] = -1;
                else there[row[c]] = 1;
            }
            for (int64_t c = 0; c < count; ++c)
                if (row[c] >= 0) there[row[c]] = 0;
            for (int64_t s = seen_at[b]; s < seen_at[b + 1]; ++s) there[seen[s]] = 0;
        }
    }
}

// out[b, j] = inner product of row b of left [n, width] and row at[b, j] of right
EXPORT void finrec_pair_dots(int64_t threads, int64_t n, int64_t k, int64_t width,
                             const float* left, const float* right, const int64_t* at, float* out) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t b = 0; b < n; ++b)
        for (int64_t j = b * k; j < (b + 1) * k; ++j) {
            const float *one = left + b * width, *other = right + at[j] * width;
            float part[8] = {};
            int64_t c = 0;
            for (; c + 8 <= width; c += 8)
                for (int64_t i = 0; i < 8; ++i) part[i] += one[c + i] * other[c + i];
            for (; c < width; ++c) part[0] += one[c] * other[c];
            out[j] = ((part[0] + part[1]) + (part[2] + part[3])) +
                     ((part[4] + part[5]) + (part[6] + part[7]));
        }
}

// The items nearest to each of the items begin ... end - 1, by rising number, -1 where there are
// fewer, and their values. near, value: room for (end - begin) * k.
//
// value(i, j) = into[i] * out[j] * sum over users u of both i and j of by_user[u], estimated from at
// most `fanout` users of i and as many items of each; -1: all.
EXPORT void finrec_near_items(int64_t threads, int64_t begin, int64_t end, int64_t n_items,
                              int64_t k, int64_t fanout, int64_t seed, const int64_t* item_at,
                              const int32_t* users, const int64_t* user_at, const int32_t* items,
                              const float* by_user, const float* into, const float* out,
                              int32_t* near, float* value) {
    const int64_t n = end - begin, used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<float[]> sum(new float[n_items]());
        std::vector<int32_t> touched;
        std::vector<Best> found;
        for (int64_t b = t; b < n; b += used) {
            const int64_t item = begin + b;
            const uint64_t key = mixed(uint64_t(seed)) ^ uint64_t(item);
            const Drawn who(item_at[item + 1] - item_at[item], fanout, key);
            touched.clear();
            found.clear();
            for (int64_t p = 0; p < who.taken; ++p) {
                const int32_t user = users[item_at[item] + who.place(p)];
                const Drawn what(user_at[user + 1] - user_at[user], fanout, mixed(key) ^ uint64_t(user));
                const float each = by_user[user] * who.stands_for() * what.stands_for();
                for (int64_t q = 0; q < what.taken; ++q) {
                    const int32_t other = items[user_at[user] + what.place(q)];
                    if (sum[other] == 0.0f) touched.push_back(other);
                    sum[other] += each;
                }
            }
            sum[item] = 0.0f;
            for (const int32_t other : touched) {
                const float one = sum[other] * into[item] * out[other];
                if (one > 0.0f) found.push_back({one, other});
                sum[other] = 0.0f;
            }
            const int64_t kept = std::min<int64_t>(k, int64_t(found.size()));
            if (kept < int64_t(found.size()))
                std::nth_element(found.begin(), found.begin() + kept, found.end());
            std::sort(found.begin(), found.begin() + kept,
                      [](const Best& a, const Best& b) { return a.item < b.item; });
            for (int64_t j = 0; j < k; ++j) {
                near[b * k + j] = j < kept ? found[j].item : -1;
                value[b * k + j] = j < kept ? found[j].value : 0.0f;
            }
        }
    }
}
