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

#include <oneapi/dnnl/dnnl.hpp>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/backend.h"

using namespace backlight;
using dnnl::memory;
using Tag = memory::format_tag;

namespace {

struct Layer {
    const char* name;
    int64_t in, out, size, kernel, stride;
    bool blocked_weight_gradient;  // the rule for this shape
};

const std::vector<Layer> kLayers = {
    {"3-64_7x7s2_224", 3, 64, 224, 7, 2, false},    {"64-64_1x1_56", 64, 64, 56, 1, 1, false},
    {"64-64_3x3_56", 64, 64, 56, 3, 1, false},      {"64-256_1x1_56", 64, 256, 56, 1, 1, false},
    {"128-128_3x3s2_56", 128, 128, 56, 3, 2, true}, {"128-512_1x1_28", 128, 512, 28, 1, 1, false},
    {"256-256_3x3_14", 256, 256, 14, 3, 1, true},   {"1024-256_1x1_14", 1024, 256, 14, 1, 1, false},
    {"512-512_3x3_7", 512, 512, 7, 3, 1, true},     {"512-2048_1x1_7", 512, 2048, 7, 1, 1, true},
    {"64-64_3x3_224", 64, 64, 224, 3, 1, false},    {"256-256_3x3_56", 256, 256, 56, 3, 1, true},
};

struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
};

// The primitives of one layer with their memory.
class Raw {
public:
    Raw(const Layer& layer, int64_t batch) : layer_(layer) {
        const int64_t pad = layer.kernel / 2;
        const int64_t out_size = (layer.size + 2 * pad - layer.kernel) / layer.stride + 1;
        source_ = {batch, layer.in, layer.size, layer.size};
        weights_ = {layer.out, layer.in, layer.kernel, layer.kernel};
        target_ = {batch, layer.out, out_size, out_size};
        strides_ = {layer.stride, layer.stride};
        padding_ = {pad, pad};
        x_ = plain(source_, Tag::nhwc);
        w_ = plain(weights_, Tag::ohwi);
        y_ = plain(target_, Tag::nhwc);
        d_x_ = plain(source_, Tag::nhwc);
        d_w_ = plain(weights_, Tag::ohwi);
        const auto hint = forward(Tag::nhwc);
        const memory w = brought(w_, hint.weights_desc());
        steps_.push_back({dnnl::convolution_forward(hint),
                          {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y_}}});
        const dnnl::convolution_backward_data::primitive_desc data(
            engine_, dnnl::algorithm::convolution_direct, x_.get_desc(), any(weights_), y_.get_desc(),
            strides_, padding_, padding_, hint);
        const memory v = brought(w_, data.weights_desc());
        steps_.push_back({dnnl::convolution_backward_data(data),
                          {{DNNL_ARG_DIFF_SRC, d_x_}, {DNNL_ARG_WEIGHTS, v}, {DNNL_ARG_DIFF_DST, y_}}});
        const bool blocked = layer.blocked_weight_gradient;
        const dnnl::convolution_backward_weights::primitive_desc gradient(
            engine_, dnnl::algorithm::convolution_direct, blocked ? any(source_) : x_.get_desc(),
            any(weights_), blocked ? any(target_) : y_.get_desc(), strides_, padding_, padding_,
            forward(blocked ? Tag::any : Tag::nhwc));
        const memory x = brought(x_, gradient.src_desc());
        const memory y = brought(y_, gradient.diff_dst_desc());
        const memory d_w = d_w_.get_desc() == gradient.diff_weights_desc()
                               ? d_w_
                               : memory(gradient.diff_weights_desc(), engine_);
        steps_.push_back({dnnl::convolution_backward_weights(gradient),
                          {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, d_w}, {DNNL_ARG_DIFF_DST, y}}});
        if (d_w.get_desc() != d_w_.get_desc()) {
            steps_.push_back({dnnl::reorder(d_w, d_w_), {{DNNL_ARG_FROM, d_w}, {DNNL_ARG_TO, d_w_}}});
        }
    }
    void run() {
        for (const Step& step : steps_) {
            step.primitive.execute(stream_, step.arguments);
        }
        stream_.wait();
    }
    [[nodiscard]] double operations() const {
        return 6.0 * static_cast<double>(target_[0] * target_[1] * target_[2] * target_[3] * layer_.in *
                                         layer_.kernel * layer_.kernel);
    }

private:
    static memory::desc any(const memory::dims& dims) { return {dims, memory::data_type::f32, Tag::any}; }
    memory plain(const memory::dims& dims, Tag tag) {
        memory made({dims, memory::data_type::f32, tag}, engine_);
        std::fill_n(static_cast<float*>(made.get_data_handle()), made.get_desc().get_size() / 4, 0.01f);
        return made;
    }
    dnnl::convolution_forward::primitive_desc forward(Tag activations) {
        return {engine_,
                dnnl::prop_kind::forward_training,
                dnnl::algorithm::convolution_direct,
                {source_, memory::data_type::f32, activations},
                any(weights_),
                {target_, memory::data_type::f32, activations},
                strides_,
                padding_,
                padding_};
    }
    memory brought(const memory& from, const memory::desc& wanted) {
        if (from.get_desc() == wanted) {
            return from;
        }
        memory to(wanted, engine_);
        steps_.push_back({dnnl::reorder(from, to), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
        return to;
    }

    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    Layer layer_;
    memory::dims source_, weights_, target_, strides_, padding_;
    memory x_, w_, y_, d_x_, d_w_;
    std::vector<Step> steps_;
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
                                         Raw raw(layer, kBatch);
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
