// What a convolution layer of Backlight costs beside the oneDNN primitives that it needs.
// A step of a layer is: output, gradient of the input, gradient of the weights, with weights that are new in
// each step.
//   raw        the same products by primitives made by hand, on memory that stays in place: reorders of the
//   weights for
//              each direction, the convolution, the reorder of the weights' gradient, and of activations
//              where docs/onednn.md's rule has them
//   backlight  three kernel calls, the allocation of their outputs included
// Both take turns; `ratio` is of the best CPU times of all threads, which other work on the machine disturbs
// little, ms are the best on the clock.
//   OMP_WAIT_POLICY=passive bench_onednn_layers
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <vector>

#include "bench/raw_convolution.h"
#include "core/backend.h"

using namespace backlight;

namespace {

struct Layer : ConvolutionLayer {  // with the rule for its shape
    const char* name;
};

const std::vector<Layer> kLayers = {
    {{3, 64, 224, 7, 2, false}, "3-64_7x7s2_224"},    {{64, 64, 56, 1, 1, false}, "64-64_1x1_56"},
    {{64, 64, 56, 3, 1, false}, "64-64_3x3_56"},      {{64, 256, 56, 1, 1, false}, "64-256_1x1_56"},
    {{128, 128, 56, 3, 2, true}, "128-128_3x3s2_56"}, {{128, 512, 28, 1, 1, false}, "128-512_1x1_28"},
    {{256, 256, 14, 3, 1, true}, "256-256_3x3_14"},   {{1024, 256, 14, 1, 1, false}, "1024-256_1x1_14"},
    {{512, 512, 7, 3, 1, true}, "512-512_3x3_7"},     {{512, 2048, 7, 1, 1, true}, "512-2048_1x1_7"},
    {{64, 64, 224, 3, 1, false}, "64-64_3x3_224"},    {{256, 256, 56, 3, 1, true}, "256-256_3x3_56"},
};

class Ours {
public:
    Ours(const Layer& layer, int64_t batch)
        : attrs_{.stride = {layer.stride, layer.stride}, .padding = {layer.kernel / 2, layer.kernel / 2}},
          x_(Tensor::full({batch, layer.size, layer.size, layer.in}, 0.01)),
          weight_(Tensor::full({layer.out, layer.kernel, layer.kernel, layer.in}, 0.01)),
          d_y_(Tensor::full(conv2d_output_shape(attrs_, x_.shape(), weight_.shape()), 0.01)) {}
    void run() {
        weight_.mark_modified();
        Tensor y = Tensor::empty(d_y_.shape());
        cpu_backend().conv2d(attrs_, x_, weight_, {}, y);
        Tensor d_x = Tensor::empty(x_.shape());
        cpu_backend().conv2d_backward_data(attrs_, d_y_, weight_, d_x);
        Tensor d_weight = Tensor::empty(weight_.shape());
        cpu_backend().conv2d_backward_weights(attrs_, x_, d_y_, d_weight);
    }

private:
    Conv2dAttrs attrs_;
    Tensor x_, weight_, d_y_;
};

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct Best {
    double wall = 1e9, cpu = 1e9;
    template <typename Run>
    void measure(const Run& run) {
        const double cpu_start = cpu_seconds();
        const auto start = std::chrono::steady_clock::now();
        run();
        wall =
            std::min(wall, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        cpu = std::min(cpu, cpu_seconds() - cpu_start);
    }
};

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    for (const Layer& layer : kLayers) {
        benchmark::RegisterBenchmark((std::string("layer/") + layer.name).c_str(),
                                     [=](benchmark::State& state) {
                                         constexpr int64_t kBatch = 8;
                                         RawConvolution raw(layer, kBatch);
                                         Ours ours(layer, kBatch);
                                         raw.run();
                                         ours.run();
                                         Best best_raw;
                                         Best best_ours;
                                         for (auto _ : state) {
                                             best_raw.measure([&] { raw.run(); });
                                             best_ours.measure([&] { ours.run(); });
                                         }
                                         state.counters["backlight_ms"] = best_ours.wall * 1e3;
                                         state.counters["raw_ms"] = best_raw.wall * 1e3;
                                         state.counters["ratio"] = best_ours.cpu / best_raw.cpu;
                                         state.counters["GFLOP/s"] = raw.operations() / best_ours.wall * 1e-9;
                                     })
            ->UseRealTime()
            ->Iterations(12)
            ->Unit(benchmark::kMillisecond);
    }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
