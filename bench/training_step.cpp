// One training step of small networks, as the loop in train/ makes it: forward, loss, backward, update.
#include <benchmark/benchmark.h>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/backend.h"
#include "models/model.h"
#include "train/optimizer.h"

namespace {

using namespace backlight;

Tensor normal(const Shape& shape, uint64_t seed) {
    Tensor x = Tensor::empty(shape);
    x.backend().random_normal(x, {.seed = seed});
    return x;
}

Tensor labels(int64_t count, int64_t classes) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) {
        values.push_back(i % classes);
    }
    return Tensor::from(values, {count});
}

void train_step(benchmark::State& state, const std::string& spec, const Shape& batch) {
    set_threads(static_cast<int>(state.range(0)));
    Model model = build_model(spec);
    model.net->train();
    const auto optimizer = make_optimizer({.name = "sgd", .momentum = 0.9}, model.net->parameters());
    const Variable x = normal(batch, 1);
    const Tensor y = labels(batch[0], model.classes);
    for (auto _ : state) {
        const Variable loss = cross_entropy((*model.net)(x), y);
        model.net->zero_grad();
        backward(loss);
        optimizer->step(0.01);
    }
    state.counters["samples/s"] =
        benchmark::Counter(static_cast<double>(state.iterations() * batch[0]), benchmark::Counter::kIsRate);
}

}  // namespace

BENCHMARK_CAPTURE(train_step, toy1, "toy1", Shape{32, 5})->Arg(1)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(train_step, cnn_small_digits, "cnn_small(in=1, classes=10)", Shape{32, 8, 8, 1})
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMicrosecond);

BENCHMARK_MAIN();
