// Sums over the rows of a sparse matrix, read at a few slots of each row of seeds, and near items.
//
// Item i of row b of seeds has the message: sum over the entries e of the row of weight[e] times
// M[r, i], with r = rows[e] a row of the sparse matrix M. A row of seeds touches few of all items:
// these get numbers 1, 2, .. as they come up, so that sums stand close to one another and only one
// array of int32, `mark`, is as wide as there are items. It is zero between rows of seeds: every row
// takes back its own marks.
//
// Every row is computed by one thread in an order that depends on the row alone, so the number of
// threads changes nothing.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <memory>
#include <type_traits>

#include "draws.h"
#include "export.h"

namespace {

constexpr int64_t MOST = 4;      // heads that are summed at once
constexpr size_t HUGE_PAGE = 2 << 20;
constexpr int64_t LINE = 16;     // numbers in a line of the cache
constexpr int64_t AHEAD = 3;     // rows of users between the prefetch of sums and their use
constexpr int64_t FETCHED = 64;  // rows of users that are fetched before they are read

// at most `most` threads, and none without a row
inline int64_t threads_for(int64_t threads, int64_t rows) {
    return std::max<int64_t>(1, std::min(threads, rows));
}

// Room for n of T, zero throughout. Large rooms are read in no order: in pages of 2 MB, where the
// system has them, fewer addresses have to be looked up.
template <class T>
class Room {
  public:
    explicit Room(int64_t n) : data_(take(n)) {}
    ~Room() { free(data_); }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    T* get() const { return data_; }

  private:
    static T* take(int64_t n) {
        const size_t bytes = size_t(std::max<int64_t>(n, 1)) * sizeof(T);
        void* data = nullptr;
#ifdef __linux__
        const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        if (bytes >= HUGE_PAGE / 2 && (data = aligned_alloc(HUGE_PAGE, whole))) {
            madvise(data, whole, MADV_HUGEPAGE);
            memset(data, 0, bytes);
        }
#endif
        if (!data) data = calloc(bytes, 1);
        if (!data) abort();
        return static_cast<T*>(data);
    }
    T* data_;
};

// as Room, but grows: what was there is lost, and all of it is zero
template <class T>
class Growing {
  public:
    T* at_least(int64_t n) {
        if (n > size_) {
            size_ = 2 * n;
            room_.reset();
            room_.reset(new Room<T>(size_));
        }
        return room_->get();
    }

  private:
    int64_t size_ = -1;
    std::unique_ptr<Room<T>> room_;
};

// values: null for ones; `stride` from one head's values to the next one's, 0 where heads share them
struct Matrix {
    const int64_t* indptr;
    const int32_t* indices;
    const float* values;
    int64_t stride;
};

struct Seeds {
    const int64_t* row_ptr;  // entries of each row of seeds
    const int32_t* rows;     // a row of the matrix, or -1 for none
    const int64_t* seen_ptr;
    const int32_t* seen;
};

enum Kind { ONES, SHARED, APART };

template <Kind KIND>
inline float value_of(const Matrix& matrix, int64_t p, int64_t head) {
    if (KIND == ONES) return 1.0f;
    return matrix.values[KIND == APART ? head * matrix.stride + p : p];
}

// Fetches what a row of seeds reads, and counts it.
inline int64_t fetch(const Matrix& matrix, const int32_t* rows, int64_t begin, int64_t end) {
    int64_t count = 0;
    for (int64_t e = begin; e < end; ++e) {
        if (rows[e] < 0) continue;
        const int64_t from = matrix.indptr[rows[e]], to = matrix.indptr[rows[e] + 1];
        count += to - from;
        for (int64_t p = from; p < to; p += LINE) {
            __builtin_prefetch(matrix.indices + p);
            if (matrix.values) __builtin_prefetch(matrix.values + p);
        }
    }
    return count;
}

// Adds up the messages of L heads for the entries begin .. end: sum[number, head]. Returns how many
// items were touched, and notes them in `items` by number - 1. weight: entries from one head's to the
// next one's are `entries` apart.
template <int L, Kind KIND>
inline int64_t add_up(const Matrix& matrix, const int32_t* rows, int64_t begin, int64_t end,
                      const float* weight, int64_t entries, int32_t* mark, int32_t* items,
                      float* sum) {
    int64_t count = 0;
    for (int64_t e = begin; e < end; ++e) {
        if (rows[e] < 0) continue;
        float by[L];
        for (int l = 0; l < L; ++l) by[l] = weight[l * entries + e];
        const int64_t to = matrix.indptr[rows[e] + 1];
        for (int64_t p = matrix.indptr[rows[e]]; p < to; ++p) {
            const int32_t item = matrix.indices[p];
            // without a branch, which would be guessed wrong often
            int32_t number = mark[item];
            items[count] = item;
            count += number == 0;
            number = number ? number : int32_t(count);
            mark[item] = number;
            float* at = sum + int64_t(number) * L;
            for (int l = 0; l < L; ++l) at[l] += by[l] * value_of<KIND>(matrix, p, l);
        }
    }
    return count;
}

struct Task {
    int64_t threads, n, width, heads, entries, columns;
    Seeds seeds;
    const float* weight;
    Matrix matrix;
    const int32_t* slots;
};

// L heads from `first` on
template <int L, Kind KIND>
void sum_heads(const Task& task, int64_t first, float* out, float* total) {
    const int64_t used = threads_for(task.threads, task.n), columns = task.columns;
    const Seeds& seeds = task.seeds;
    Matrix matrix = task.matrix;
    if (KIND == APART) matrix.values += first * matrix.stride;
    const float* weight = task.weight + first * task.entries;
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        Room<int32_t> mark(task.width);
        Growing<int32_t> items_room;
        Growing<float> sum_room;
        for (int64_t b = t; b < task.n; b += used) {
            const int64_t begin = seeds.row_ptr[b], end = seeds.row_ptr[b + 1];
            const int64_t touched =
                std::min(fetch(matrix, seeds.rows, begin, end), task.width) + 1;
            int32_t* items = items_room.at_least(touched);
            float* sum = sum_room.at_least(touched * L);  // that of number 0, of no item, stays 0
            const int64_t count = add_up<L, KIND>(matrix, seeds.rows, begin, end, weight,
                                                  task.entries, mark.get(), items, sum);
            const int32_t* slots = task.slots + b * columns;
            float* to = out + (b * task.heads + first) * columns;
            for (int64_t c = 0; c < columns; ++c) {
                const int64_t number = slots[c] < 0 ? 0 : mark.get()[slots[c]];
                for (int l = 0; l < L; ++l) to[l * columns + c] = sum[number * L + l];
            }
            for (int64_t e = seeds.seen_ptr[b]; e < seeds.seen_ptr[b + 1]; ++e) {
                const int64_t number = mark.get()[seeds.seen[e]];
                for (int l = 0; l < L; ++l) sum[number * L + l] = 0.0f;
            }
            double all[L] = {};
            for (int64_t j = L; j < (count + 1) * L; j += L)
                for (int l = 0; l < L; ++l) all[l] += double(sum[j + l]);
            for (int l = 0; l < L; ++l) total[b * task.heads + first + l] = float(all[l]);
            memset(sum, 0, size_t((count + 1) * L) * sizeof(float));
            for (int64_t j = 0; j < count; ++j) mark.get()[items[j]] = 0;
        }
    }
}

// The gradient by the weights: to_weight[l, e] = sum over the items i of e's row of M[r, i] times the
// gradient of item i, which is that of its slots, and of the total if i is not seen. Number 0 is that
// of an item without a slot, 1 of a seen one without.
template <int L, Kind KIND>
void grad_heads(const Task& task, int64_t first, const float* grad_out, const float* grad_total,
                float* to_weight) {
    const int64_t used = threads_for(task.threads, task.n), columns = task.columns;
    const Seeds& seeds = task.seeds;
    Matrix matrix = task.matrix;
    if (KIND == APART) matrix.values += first * matrix.stride;
    to_weight += first * task.entries;
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        Room<int32_t> mark_room(task.width);
        Room<float> grad_room((columns + 2) * L);
        int32_t* mark = mark_room.get();
        float* grad = grad_room.get();
        for (int64_t b = t; b < task.n; b += used) {
            const int64_t begin = seeds.row_ptr[b], end = seeds.row_ptr[b + 1];
            fetch(matrix, seeds.rows, begin, end);
            const int32_t* slots = task.slots + b * columns;
            const float* from = grad_out + (b * task.heads + first) * columns;
            for (int l = 0; l < L; ++l) grad[l] = grad_total[b * task.heads + first + l];
            for (int l = 0; l < L; ++l) grad[L + l] = 0.0f;
            for (int64_t e = seeds.seen_ptr[b]; e < seeds.seen_ptr[b + 1]; ++e)
                mark[seeds.seen[e]] = 1;
            int32_t count = 2;
            for (int64_t c = 0; c < columns; ++c) {
                if (slots[c] < 0) continue;
                int32_t number = mark[slots[c]];
                if (number < 2) {
                    for (int l = 0; l < L; ++l) grad[count * L + l] = grad[number * L + l];
                    number = mark[slots[c]] = count++;
                }
                for (int l = 0; l < L; ++l) grad[number * L + l] += from[l * columns + c];
            }
            for (int64_t e = begin; e < end; ++e) {
                float sum[L] = {};
                if (seeds.rows[e] >= 0) {
                    const int64_t to = matrix.indptr[seeds.rows[e] + 1];
                    for (int64_t p = matrix.indptr[seeds.rows[e]]; p < to; ++p) {
                        const float* of = grad + int64_t(mark[matrix.indices[p]]) * L;
                        for (int l = 0; l < L; ++l) sum[l] += of[l] * value_of<KIND>(matrix, p, l);
                    }
                }
                for (int l = 0; l < L; ++l) to_weight[l * task.entries + e] = sum[l];
            }
            for (int64_t e = seeds.seen_ptr[b]; e < seeds.seen_ptr[b + 1]; ++e)
                mark[seeds.seen[e]] = 0;
            for (int64_t c = 0; c < columns; ++c)
                if (slots[c] >= 0) mark[slots[c]] = 0;
        }
    }
}

// Calls work(heads, kind, first) with both as constants, for at most MOST heads at a time.
template <class Work>
void by_heads(const Task& task, Work work) {
    const Kind kind = !task.matrix.values ? ONES : task.matrix.stride ? APART : SHARED;
#define HEADS(L)                                                                                  \
    kind == ONES     ? work(std::integral_constant<int, L>(),                                     \
                            std::integral_constant<Kind, ONES>(), first)                          \
    : kind == SHARED ? work(std::integral_constant<int, L>(),                                     \
                            std::integral_constant<Kind, SHARED>(), first)                        \
                     : work(std::integral_constant<int, L>(),                                     \
                            std::integral_constant<Kind, APART>(), first)
    for (int64_t first = 0; first < task.heads; first += MOST) {
        const int64_t left = task.heads - first;
        if (left == 1)
            HEADS(1);
        else if (left == 2)
            HEADS(2);
        else if (left == 3)
            HEADS(3);
        else
            HEADS(4);
    }
#undef HEADS
}

struct Best {
    float score;
    int32_t item;
    // of equal scores the smaller number
    bool operator<(const Best& other) const {
        return score != other.score ? score > other.score : item < other.item;
    }
};

// A sum and what it is multiplied with, side by side: one is in the cache when the other is needed.
struct Sum {
    float value, factor;
};

struct UserRow {
    int64_t begin, size;
};

// Whole numbers in the order of scores that are not negative.
inline uint32_t bits_of(float score) {
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits;
}

constexpr int64_t BUCKETS = 512;

// Puts the `kept` < n best of `all` first, in any order. Scores are not negative. By a count of how
// many scores are in each of equal ranges; only those of the range at the border are compared.
void best_first(Best* all, int64_t n, int64_t kept, Best* room) {
    uint32_t least = ~0u, most = 0;
    for (int64_t j = 0; j < n; ++j) {
        const uint32_t bits = bits_of(all[j].score);
        least = std::min(least, bits);
        most = std::max(most, bits);
    }
    int shift = 0;
    while ((most - least) >> shift >= BUCKETS) ++shift;
    int32_t count[BUCKETS] = {};
    for (int64_t j = 0; j < n; ++j) ++count[(bits_of(all[j].score) - least) >> shift];
    int64_t above = 0, border = BUCKETS - 1;
    while (above + count[border] < kept) above += count[border--];
    int64_t to = 0, at_border = 0;
    for (int64_t j = 0; j < n; ++j) {
        const Best one = all[j];
        const int64_t bucket = (bits_of(one.score) - least) >> shift;
        all[to] = one;
        room[at_border] = one;
        to += bucket > border;
        at_border += bucket == border;
    }
    const int64_t left = kept - to;
    if (left < at_border) std::nth_element(room, room + left, room + at_border);
    memcpy(static_cast<void*>(all + to), room, size_t(left) * sizeof(Best));
}

// A hash of an item for a table of 2^bits places.
inline uint32_t place_of(int32_t item, int bits) {
    return uint32_t(item) * 2654435769u >> (32 - bits);
}

}  // namespace

// out[b, l, c] = message of head l to the item slots[b, c], 0 for a slot of -1; total[b, l] = the sum
// of the messages to all items that are not seen. weight: heads * entries. row_*, seen_*: int64
// offsets. stride: see Matrix. out: room for n * heads * columns; total: for n * heads.
EXPORT void finrec_slot_sum(int64_t threads, int64_t n, int64_t width, int64_t heads,
                            int64_t entries, int64_t columns, const int64_t* row_ptr,
                            const int32_t* rows, const int64_t* seen_ptr, const int32_t* seen,
                            const int64_t* indptr, const int32_t* indices, const float* values,
                            int64_t stride, const int32_t* slots, const float* weight, float* out,
                            float* total) {
    const Task task = {threads, n, width, heads, entries, columns, {row_ptr, rows, seen_ptr, seen},
                       weight,  {indptr, indices, values, stride},   slots};
    by_heads(task, [&](auto l, auto kind, int64_t first) {
        sum_heads<decltype(l)::value, decltype(kind)::value>(task, first, out, total);
    });
}

// Its gradient by the weights, from those of out and total. to_weight: heads * entries, of which the
// entries of rows are written.
EXPORT void finrec_slot_sum_grad(int64_t threads, int64_t n, int64_t width, int64_t heads,
                                 int64_t entries, int64_t columns, const int64_t* row_ptr,
                                 const int32_t* rows, const int64_t* seen_ptr, const int32_t* seen,
                                 const int64_t* indptr, const int32_t* indices,
                                 const float* values, int64_t stride, const int32_t* slots,
                                 const float* grad_out, const float* grad_total,
                                 float* to_weight) {
    const Task task = {threads, n,       width, heads, entries, columns, {row_ptr, rows, seen_ptr, seen},
                       nullptr, {indptr, indices, values, stride},   slots};
    by_heads(task, [&](auto l, auto kind, int64_t first) {
        grad_heads<decltype(l)::value, decltype(kind)::value>(task, first, grad_out, grad_total,
                                                              to_weight);
    });
}

// The k items of the greatest message above 0 that are not seen, best first; -1 where there are
// fewer. weight: of each entry; values may be null for ones. top: room for n * k.
EXPORT void finrec_slot_top(int64_t threads, int64_t n, int64_t width, int64_t k,
                            const int64_t* row_ptr, const int32_t* rows, const int64_t* seen_ptr,
                            const int32_t* seen, const int64_t* indptr, const int32_t* indices,
                            const float* values, const float* weight, int32_t* top) {
    const int64_t used = threads_for(threads, n);
    const Matrix matrix = {indptr, indices, values, 0};
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        Room<int32_t> mark(width);
        Growing<int32_t> items_room;
        Growing<float> sum_room;
        Growing<Best> best_room;
        for (int64_t b = t; b < n; b += used) {
            const int64_t begin = row_ptr[b], end = row_ptr[b + 1];
            const int64_t touched = std::min(fetch(matrix, rows, begin, end), width) + 1;
            int32_t* items = items_room.at_least(touched);
            float* sum = sum_room.at_least(touched);
            Best* best = best_room.at_least(2 * touched);
            const int64_t count =
                values ? add_up<1, SHARED>(matrix, rows, begin, end, weight, 0, mark.get(), items, sum)
                       : add_up<1, ONES>(matrix, rows, begin, end, weight, 0, mark.get(), items, sum);
            for (int64_t e = seen_ptr[b]; e < seen_ptr[b + 1]; ++e)
                sum[mark.get()[seen[e]]] = 0.0f;
            int64_t found = 0;
            for (int64_t j = 0; j < count; ++j) {
                best[found] = {sum[j + 1], items[j]};
                found += sum[j + 1] > 0.0f;
                mark.get()[items[j]] = 0;
            }
            memset(sum, 0, size_t(count + 1) * sizeof(float));
            const int64_t kept = std::min(k, found);
            if (kept < found) best_first(best, found, kept, best + touched);
            std::sort(best, best + kept);
            for (int64_t j = 0; j < k; ++j) top[b * k + j] = j < kept ? best[j].item : -1;
        }
    }
}

// Puts -1 in place of each item of slots[n, columns] that stood further left in its row.
EXPORT void finrec_distinct_slots(int64_t threads, int64_t n, int64_t columns, int32_t* slots) {
    const int64_t used = threads_for(threads, n);
    int bits = 4;
    while (bits < 31 && (int64_t(1) << bits) < 2 * columns) ++bits;
    const uint32_t last = uint32_t((int64_t(1) << bits) - 1);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        Room<int32_t> table_room(int64_t(last) + 1);  // an item and 1 more, or 0
        int32_t* table = table_room.get();
        for (int64_t b = t; b < n; b += used) {
            memset(table, 0, (size_t(last) + 1) * sizeof(int32_t));
            int32_t* row = slots + b * columns;
            for (int64_t c = 0; c < columns; ++c) {
                if (row[c] < 0) continue;
                uint32_t at = place_of(row[c], bits);
                while (table[at] && table[at] != row[c] + 1) at = (at + 1) & last;
                if (table[at])
                    row[c] = -1;
                else
                    table[at] = row[c] + 1;
            }
        }
    }
}

// The `near` items j of the greatest c_ij by_other[j] for each item i, j not i, by rising number.
//
// c_ij = scale_i * sum of by_size[items of u] over the users u drawn of i at whom j was drawn: at most
// `fanout` users of an item and items of a user (below 0: all), scale_i = users of i / users drawn.
// Values are c_ij by_own[i] by_other[j]. What is drawn follows from (key, i) and (key, i, user) alone.
// item_*: users of each item; user_*: items of each user. counts, indices, values: room for n_items,
// n_items * near and n_items * near.
EXPORT void finrec_near_items(int64_t threads, int64_t n_items, int64_t n_users, int64_t near,
                              int64_t fanout, uint64_t key, const int64_t* item_ptr,
                              const int32_t* item_users, const int64_t* user_ptr,
                              const int32_t* user_items, const float* by_size,
                              const float* by_own, const float* by_other, int64_t* counts,
                              int32_t* indices, float* values) {
    const int64_t used = threads_for(threads, n_items);
    const int64_t drawn_most = std::max<int64_t>(fanout, 0);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        Room<Sum> sum_room(n_items);
        Room<int32_t> touched_room(n_items + 1);
        Room<Best> best_room(2 * n_items);
        Room<int32_t> users_room(drawn_most), ranks_room(drawn_most);
        Room<uint64_t> bits_room(fanout > FEW ? std::max(n_items, n_users) / 64 + 1 : 0);
        Sum* sum = sum_room.get();
        for (int64_t j = 0; j < n_items; ++j) sum[j].factor = by_other[j];
        int32_t* touched = touched_room.get();
        Best* best = best_room.get();
        UserRow row[FETCHED];
        for (int64_t i = t; i < n_items; i += used) {
            const int32_t* users = item_users + item_ptr[i];
            const int64_t holders = item_ptr[i + 1] - item_ptr[i];
            int64_t drawn = holders;
            const uint64_t item_key = mix(key + GOLDEN * uint64_t(i + 1));
            if (fanout >= 0 && holders > fanout) {
                drawn = fanout;
                draw_ranks(item_key, holders, drawn, bits_room.get(), users_room.get());
                for (int64_t j = 0; j < drawn; ++j)
                    users_room.get()[j] = users[users_room.get()[j]];
                users = users_room.get();
            }
            int64_t count = 0;
            auto add = [&](int32_t item, float weight) {
                touched[count] = item;
                Sum& to = sum[item];
                count += to.value == 0.0f;
                to.value += weight;
            };
            for (int64_t first = 0; first < drawn; first += FETCHED) {
                // loads that wait for one another are few: where rows stand, then what is in them
                const int64_t last = std::min(first + FETCHED, drawn);
                for (int64_t j = first; j < last; ++j) {
                    const int64_t begin = user_ptr[users[j]], end = user_ptr[users[j] + 1];
                    row[j - first] = {begin, end - begin};
                    __builtin_prefetch(user_items + begin);
                    __builtin_prefetch(user_items + end - 1);
                }
                for (int64_t j = first; j < last; ++j) {
                    if (j + AHEAD < last) {
                        const UserRow& later = row[j + AHEAD - first];
                        if (later.size <= FEW && (fanout < 0 || later.size <= fanout))
                            for (int64_t e = 0; e < later.size; ++e)
                                __builtin_prefetch(sum + user_items[later.begin + e], 1);
                    }
                    const UserRow& one = row[j - first];
                    const int32_t* held = user_items + one.begin;
                    const float weight = by_size[one.size];
                    if (fanout < 0 || one.size <= fanout) {
                        for (int64_t e = 0; e < one.size; ++e) add(held[e], weight);
                        continue;
                    }
                    // not the key of the item's own draws
                    const uint64_t user_key = mix(~item_key + GOLDEN * uint64_t(users[j] + 1));
                    draw_ranks(user_key, one.size, fanout, bits_room.get(), ranks_room.get());
                    for (int64_t e = 0; e < fanout; ++e) add(held[ranks_room.get()[e]], weight);
                }
            }
            int64_t found = 0;
            for (int64_t j = 0; j < count; ++j) {
                const int32_t item = touched[j];
                best[found] = {sum[item].value * sum[item].factor, item};
                found += item != i;
                sum[item].value = 0.0f;
            }
            const int64_t kept = std::min(near, found);
            if (kept < found) best_first(best, found, kept, best + n_items);
            std::sort(best, best + kept,
                      [](const Best& one, const Best& other) { return one.item < other.item; });
            const float scale = drawn ? by_own[i] * (float(holders) / float(drawn)) : 0.0f;
            for (int64_t j = 0; j < kept; ++j) {
                indices[i * near + j] = best[j].item;
                values[i * near + j] = best[j].score * scale;
            }
            counts[i] = kept;
        }
    }
    // rows one after the other, in place
    int64_t to = 0;
    for (int64_t i = 0; i < n_items; ++i) {
        if (to < i * near && counts[i]) {
            memmove(indices + to, indices + i * near, size_t(counts[i]) * sizeof(int32_t));
            memmove(values + to, values + i * near, size_t(counts[i]) * sizeof(float));
        }
        to += counts[i];
    }
}
