// Kernels of ranking: one table for each instruction set that the library was compiled for.
#pragma once

#include <stdint.h>

// Columns of a packed panel of vectors, [panels, width, PANEL]; what is over in the last is zero.
constexpr int64_t PANEL = 48;

// Scores [n_rows, n_columns], made a few at a time: read from rows that are given, or as products
// of vectors. What a row holds is -inf.
template <class T>
struct Scores {
    int64_t n_rows;
    int64_t n_columns;
    const T* given;          // [n_rows, stride], or null: products
    int64_t stride;
    const int32_t* columns;  // [n_columns]: where each stands in a given row
    uint8_t* finite;         // [n_rows]: whether all that was read of a given row is finite
    int64_t width;
    const T* left;           // [n_rows, width]
    const T* panels;         // [panels, width, PANEL]
    const T* bias;           // [panels, PANEL]
    const int64_t* held_at;  // [n_rows + 1]: where each row's begin in `held`
    const int32_t* held;     // columns, rising in each row
    int threads;
};

// Of each target t of a row and each part p of the columns: how many in
// first[p] .. first[p + 1] have a greater score, or an equal one before border[p, t].
template <class T>
struct Above {
    const int64_t* at;  // [n_rows + 1]: where each row's begin in the arrays by target
    int64_t n_targets;
    const T* score;        // [n_targets]
    int64_t parts;
    const int32_t* first;   // [parts + 1]
    const int32_t* border;  // [parts, n_targets]
    int64_t* above;         // [parts, n_targets], zero at the start
};

// The k columns of the greatest scores, best first, equal ones by column.
template <class T>
struct Best {
    int64_t k;
    T* score;         // [n_rows, k]
    int32_t* column;  // [n_rows, k]
    int64_t* found;   // [n_rows]: fewer where there are no more
};

// The scores of single columns of each row.
template <class T>
struct Picked {
    const int64_t* at;  // [n_rows + 1]
    const int32_t* column;
    T* score;
};

template <class T>
struct Ranking {
    void (*above)(const Scores<T>&, const Above<T>&);
    void (*best)(const Scores<T>&, const Best<T>&);
    void (*picked)(const Scores<T>&, const Picked<T>&);
};

struct RankingTable {
    Ranking<float> f32;
    Ranking<double> f64;
};

extern "C" {
extern const RankingTable finrec_plain_ranking;
#ifdef FINREC_X86
extern const RankingTable finrec_avx2_ranking;
extern const RankingTable finrec_avx512_ranking;
#endif
}
