// The users nearest to each seed over two hops (seed, items, users), and sums of what they took up.
//
// Every row of seeds is computed by one thread in an order that depends on the row alone, so the
// number of threads changes nothing.
#include <stdint.h>

#include <algorithm>
#include <memory>

#include "export.h"

namespace {

// at most `most` threads, and none without a row
inline int64_t threads_for(int64_t threads, int64_t rows) {
    return std::max<int64_t>(1, std::min(threads, rows));
}

struct Near {
    float score;
    int32_t user;
    // of equal scores the smaller number
    bool operator<(const Near& other) const {
        return score != other.score ? score > other.score : user < other.user;
    }
};

}  // namespace

// The k users of the greatest weight for each of n seeds, by rising number; -1 where there are fewer.
//
// weight(v) = user_scale[v] * row_scale[b] * sum of item_weight over the items of the seed at which v
// was drawn, plus 1 for a connection. hist_*: the items of each seed (int64 offsets); local: where an
// item stands among the drawn rows; drawn_*: the users drawn for each such item; tie_*: the
// connections of each seed. self: the seed's own number, which is left out, or -1. known: 1 for users
// who have an interaction; others are left out. peers: room for n * k.
EXPORT void finrec_near_users(int64_t threads, int64_t n, int64_t n_users, int64_t k,
                              const int64_t* hist_ptr, const int32_t* hist, const int32_t* self,
                              const int32_t* local, const int32_t* drawn_ptr, const int32_t* drawn,
                              const float* item_weight, const float* user_scale,
                              const float* row_scale, const int64_t* tie_ptr, const int32_t* ties,
                              const uint8_t* known, int32_t* peers) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<float[]> sum(new float[n_users]());
        std::unique_ptr<int32_t[]> touched(new int32_t[n_users]);
        std::unique_ptr<Near[]> near(new Near[n_users]);
        for (int64_t b = t; b < n; b += used) {
            int64_t count = 0;
            auto add = [&](int32_t user, float value) {
                if (user == self[b] || !known[user]) return;
                if (sum[user] == 0.0f) touched[count++] = user;
                sum[user] += value;
            };
            for (int64_t e = hist_ptr[b]; e < hist_ptr[b + 1]; ++e) {
                const int32_t item = hist[e], row = local[item];
                // an item of everybody weighs nothing, but who shares it is near all the same
                const float weight = std::max(item_weight[item] * row_scale[b], 1e-20f);
                for (int32_t j = drawn_ptr[row]; j < drawn_ptr[row + 1]; ++j)
                    add(drawn[j], weight);
            }
            for (int64_t j = 0; j < count; ++j) sum[touched[j]] *= user_scale[touched[j]];
            for (int64_t e = tie_ptr[b]; e < tie_ptr[b + 1]; ++e) add(ties[e], 1.0f);
            for (int64_t j = 0; j < count; ++j) {
                near[j] = {sum[touched[j]], touched[j]};
                sum[touched[j]] = 0.0f;
            }
            const int64_t kept = std::min(k, count);
            if (kept < count) std::nth_element(near.get(), near.get() + kept, near.get() + count);
            int32_t* out = peers + b * k;
            for (int64_t j = 0; j < kept; ++j) out[j] = near[j].user;
            std::sort(out, out + kept);
            for (int64_t j = kept; j < k; ++j) out[j] = -1;
        }
    }
}

// What each seed shares with each of its k peers: the sum of item_weight over shared items, and how
// many they are; shared: room for n * k * 2. user_*: the items of every user (int64 offsets).
EXPORT void finrec_shared_items(int64_t threads, int64_t n, int64_t n_items, int64_t k,
                                const int64_t* hist_ptr, const int32_t* hist, const int32_t* peers,
                                const int64_t* user_ptr, const int32_t* user_items,
                                const float* item_weight, float* shared) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static, 1) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t t = 0; t < used; ++t) {
        std::unique_ptr<uint8_t[]> mine(new uint8_t[n_items]());
        for (int64_t b = t; b < n; b += used) {
            for (int64_t e = hist_ptr[b]; e < hist_ptr[b + 1]; ++e) mine[hist[e]] = 1;
            for (int64_t j = b * k; j < (b + 1) * k; ++j) {
                float weight = 0.0f, count = 0.0f;
                if (peers[j] >= 0)
                    for (int64_t e = user_ptr[peers[j]]; e < user_ptr[peers[j] + 1]; ++e)
                        if (mine[user_items[e]]) {
                            weight += item_weight[user_items[e]];
                            count += 1.0f;
                        }
                shared[2 * j] = weight;
                shared[2 * j + 1] = count;
            }
            for (int64_t e = hist_ptr[b]; e < hist_ptr[b + 1]; ++e) mine[hist[e]] = 0;
        }
    }
}

// out[h, b, i] = sum over peers j of share[h, b, j] kernel[h, e] over the edges e of j with item i.
// share: heads * n * k; kernel: heads * edges; out: heads * n * n_items, zero before.
EXPORT void finrec_peer_sum(int64_t threads, int64_t n, int64_t n_items, int64_t k, int64_t heads,
                            int64_t n_edges, const int32_t* peers, const int64_t* user_ptr,
                            const int32_t* user_items, const float* kernel, const float* share,
                            float* out) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t b = 0; b < n; ++b)
        for (int64_t j = b * k; j < (b + 1) * k; ++j) {
            if (peers[j] < 0) continue;
            const int64_t begin = user_ptr[peers[j]], end = user_ptr[peers[j] + 1];
            for (int64_t h = 0; h < heads; ++h) {
                const float by = share[h * n * k + j];
                const float* fade = kernel + h * n_edges;
                float* to = out + (h * n + b) * n_items;
                for (int64_t e = begin; e < end; ++e) to[user_items[e]] += by * fade[e];
            }
        }
}

// to_share[h, b, j] = sum over the edges e of peer j of kernel[h, e] grad[h, b, item of e]
EXPORT void finrec_peer_sum_grad(int64_t threads, int64_t n, int64_t n_items, int64_t k,
                                 int64_t heads, int64_t n_edges, const int32_t* peers,
                                 const int64_t* user_ptr, const int32_t* user_items,
                                 const float* kernel, const float* grad, float* to_share) {
    const int64_t used = threads_for(threads, n);
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(int(used)) if (used > 1)
#endif
    for (int64_t b = 0; b < n; ++b)
        for (int64_t j = b * k; j < (b + 1) * k; ++j)
            for (int64_t h = 0; h < heads; ++h) {
                float total = 0.0f;
                if (peers[j] >= 0) {
                    const float* fade = kernel + h * n_edges;
                    const float* from = grad + (h * n + b) * n_items;
                    for (int64_t e = user_ptr[peers[j]]; e < user_ptr[peers[j] + 1]; ++e)
                        total += fade[e] * from[user_items[e]];
                }
                to_share[h * n * k + j] = total;
            }
}
