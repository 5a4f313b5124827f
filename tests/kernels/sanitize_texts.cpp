// Runs the kernels of text encoders at random shapes, each array a piece of memory of just its size.
#include <stdio.h>

#include <memory>
#include <random>

#include "int8.h"
#include "texts.h"

static std::mt19937 generator(0);

static int64_t draw(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(generator);
}

static std::unique_ptr<float[]> fill(int64_t n) {
    std::unique_ptr<float[]> made(new float[n]);
    for (int64_t k = 0; k < n; ++k) made[k] = std::normal_distribution<float>(0, 2)(generator);
    return made;
}

static void linear() {
    const int64_t rows = draw(0, 110), inputs = draw(1, 300), outputs = draw(1, 200);
    const int64_t panels = (outputs + 63) / 64, groups = (inputs + 127) / 128;
    const int threads = int(draw(1, 3));
    std::unique_ptr<int8_t[]> q(new int8_t[outputs * inputs]);
    for (int64_t k = 0; k < outputs * inputs; ++k) q[k] = int8_t(draw(-127, 127));
    std::unique_ptr<int8_t[]> packed(new int8_t[panels * 64 * ((inputs + 3) / 4) * 4]);
    int8_pack(outputs, inputs, q.get(), packed.get());
    auto scale = fill(panels * groups * 64), lean = fill(panels * groups * 64);
    auto bias = fill(outputs), x = fill(rows * inputs), y = fill(rows * outputs);
    std::unique_ptr<uint8_t[]> room(new uint8_t[threads * int8_room(inputs)]);
    const float* given = draw(0, 1) ? bias.get() : nullptr;
    int8_linear({outputs, inputs, packed.get(), scale.get(), lean.get(), given}, x.get(), rows,
                y.get(), room.get(), threads);
}

static void attention() {
    const int64_t texts = draw(0, 5), heads = draw(1, 4), width = 16 * draw(1, 4);
    std::unique_ptr<int64_t[]> starts(new int64_t[texts + 1]());
    for (int64_t i = 0; i < texts; ++i)
        starts[i + 1] = starts[i] + (draw(0, 9) ? draw(1, 70) : TEXT_LENGTH);
    const int64_t size = starts[texts] * heads * width;
    auto q = fill(size), k = fill(size), v = fill(size), out = fill(size);
    text_attend(q.get(), k.get(), v.get(), starts.get(), texts, heads, width, 0.2f, out.get(),
                int(draw(1, 3)));
}

static void norm() {
    const int64_t rows = draw(0, 9), width = draw(1, 100);
    auto x = fill(rows * width), y = fill(rows * width), out = fill(rows * width);
    auto gain = fill(width), bias = fill(width);
    text_add_norm(x.get(), y.get(), rows, width, gain.get(), bias.get(), 1e-12f, out.get(),
                  int(draw(1, 3)));
}

int main() {
    int done = 0;
    for (; done < 60; ++done) {
        linear();
        attention();
        norm();
    }
    printf("%d\n", done);
}
