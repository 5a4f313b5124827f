// Kernels of messages that depend on the edge: one table for each instruction set.
#pragma once

#include "kernels.h"

// Parts that senders are dealt out in; gradients of the gate's weights are summed by part.
constexpr int64_t MESSAGE_PARTS = 32;

// Rows, and which edge stands at each of their places: arrays by edge are in the edges' own order.
struct Ordered {
    Rows rows;
    const int32_t* order;
};

struct ScoreShape {
    int64_t heads;
    double slope;
    int threads;
};

template <class T>
struct EdgeScores {
    const T* score_src;   // [n_src, heads]
    const T* score_dst;   // [n_dst, heads]
    const T* score_edge;  // [n_edges, heads], or null
    T* alpha;             // [n_edges, heads]; only read in the backward pass
};

template <class T>
struct EdgeScoresGrad {
    const T* grad;  // [n_edges, heads]: of alpha
    T* to_src;
    T* to_dst;
    T* to_edge;  // [n_edges, heads], never null
};

struct MessageShape {
    int64_t heads, width, features;
    int threads;
};

template <class T>
struct Messages {
    const T* graph;   // [n_src, heads * width]
    const T* text;    // the same, or null
    const T* alpha;   // [n_edges, heads]
    const T* fade;    // [n_edges, heads], or null
    const T* logit;   // [n_src, heads * width]; null without a gate of edges, as the next two
    const T* feat;    // [n_edges, features]
    const T* weight;  // [features, heads * width filled up with zeros to whole vectors of 64 bytes]
};

template <class T>
struct MessagesGrad {
    const T* grad;  // [n_dst, heads * width]: of the sums
    T* room;        // [MESSAGE_PARTS, size of weight], or null
    T* to_graph;
    T* to_text;
    T* to_alpha;
    T* to_fade;  // null where it is not wanted, as to_feat
    T* to_logit;
    T* to_feat;
    T* to_weight;
};

template <class T>
struct MessageKernels {
    void (*softmax)(const Ordered&, const ScoreShape&, const EdgeScores<T>&);
    void (*softmax_grad)(const Ordered& received, const Ordered& sent, const ScoreShape&,
                         const EdgeScores<T>&, const EdgeScoresGrad<T>&);
    void (*sum)(const Ordered&, const MessageShape&, const Messages<T>&, T* out);
    void (*sum_grad)(const Ordered&, const MessageShape&, const Messages<T>&,
                     const MessagesGrad<T>&);
};

struct MessageTable {
    MessageKernels<float> f32;
    MessageKernels<double> f64;
};

extern "C" {
extern const MessageTable finrec_plain_messages;
#ifdef FINREC_X86
extern const MessageTable finrec_avx2_messages;
extern const MessageTable finrec_avx512_messages;
#endif
}
