// Runs the native code for BERTs at random shapes, each array a piece of memory of just its size.
#include <stdio.h>

#include <memory>
#include <random>
#include <vector>

#include "bert.h"
#include "int8.h"

static std::mt19937 generator(0);

static int64_t draw(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(generator);
}

static std::unique_ptr<float[]> fill(int64_t n) {
    std::unique_ptr<float[]> made(new float[n]);
    for (int64_t k = 0; k < n; ++k) made[k] = std::normal_distribution<float>(0, 2)(generator);
    return made;
}

static std::vector<std::unique_ptr<float[]>> floats;
static std::vector<std::unique_ptr<uint8_t[]>> bytes;

static const float* keep(int64_t n) {
    floats.push_back(fill(n));
    return floats.back().get();
}

// a layer's weights as `precision` has them; Precision::INT8 packs them, MIXED draws one of two
static Linear made(int64_t outputs, int64_t inputs, Precision precision) {
    if (precision == Precision::MIXED)
        return made(outputs, inputs, draw(0, 1) ? Precision::INT8 : Precision::HALF);
    const float* bias = draw(0, 1) ? keep(outputs) : nullptr;
    const int64_t panels = (outputs + 63) / 64, groups = (inputs + 63) / 64;
    if (precision == Precision::SINGLE)
        return {outputs, inputs, keep(outputs * inputs), nullptr, nullptr, bias};
    const bool half = precision == Precision::HALF;
    bytes.emplace_back(new uint8_t[outputs * inputs * (half ? 2 : 1)]);
    uint8_t* q = bytes.back().get();
    // of bfloat16 the high byte is that of a number below 1
    for (int64_t k = 0; k < outputs * inputs * (half ? 2 : 1); ++k)
        q[k] = uint8_t(half && k % 2 ? draw(0x3C, 0x3E) : draw(0, 255));
    if (half) return {outputs, inputs, q, nullptr, nullptr, bias};
    bytes.emplace_back(new uint8_t[panels * 64 * ((inputs + 3) / 4) * 4]);
    int8_pack(outputs, inputs, (const int8_t*)q, (int8_t*)bytes.back().get());
    const float* scale = keep(panels * groups * 64);
    return {outputs, inputs, bytes.back().get(), scale, keep(panels * groups * 64), bias};
}

static void linear() {
    const int64_t rows = draw(0, 110), inputs = draw(1, 300), outputs = draw(1, 200);
    const int threads = int(draw(1, 3));
    const Linear layer = made(outputs, inputs, Precision::INT8);
    auto x = fill(rows * inputs), y = fill(rows * outputs);
    std::unique_ptr<uint8_t[]> room(new uint8_t[threads * int8_room(inputs)]);
    int8_linear(layer, x.get(), rows, y.get(), room.get(), threads);
}

static void forward(Precision precision) {
    const int64_t heads = draw(1, 3), hidden = heads * 16 * draw(1, 4), wide = draw(1, 300);
    const int64_t texts = draw(0, 9), layers = draw(1, 2);
    std::unique_ptr<int64_t[]> starts(new int64_t[texts + 1]());
    int64_t longest = 0;
    for (int64_t i = 0; i < texts; ++i) {
        const int64_t length = draw(0, 19) ? draw(1, 70) : 512;
        starts[i + 1] = starts[i] + length;
        longest = longest > length ? longest : length;
    }
    std::vector<const void*> addresses;
    const auto add = [&](int64_t outputs, int64_t inputs) {
        const Linear one = made(outputs, inputs, precision);
        addresses.insert(addresses.end(), {one.weight, one.scale, one.lean, one.bias});
    };
    const auto add_norm = [&] { addresses.insert(addresses.end(), {keep(hidden), keep(hidden)}); };
    for (int64_t l = 0; l < layers; ++l) {
        for (int k = 0; k < 4; ++k) add(hidden, hidden);
        add_norm();
        add(wide, hidden);
        add(hidden, wide);
        add_norm();
    }
    const Bert bert = {hidden,    wide,  heads, layers, 1e-12f, precision, keep(longest * hidden),
                       {keep(hidden), keep(hidden)}};
    const int threads = int(draw(1, 3));
    auto x = fill(starts[texts] * hidden);
    const int64_t size = bert_room(bert, longest) * threads;
    std::unique_ptr<uint8_t[]> room(new uint8_t[size]);
    bert_forward(bert, addresses.data(), x.get(), starts.get(), texts, longest, room.get(), threads);
}

int main() {
    int done = 0;
    for (; done < 60; ++done) {
        linear();
        forward(Precision::SINGLE);
        forward(Precision::INT8);
        if (__builtin_cpu_supports("avx512bf16")) {
            forward(Precision::HALF);
            forward(Precision::MIXED);
        }
        floats.clear();
        bytes.clear();
    }
    printf("%d\n", done);
}
