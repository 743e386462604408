// Convolutions inside a training step beside the same layers in isolation, by the same oneDNN.
//   in the step   wall time of the convolution ops of one profiled step: forward, backward, SGD
//   isolated      for every convolution of the network its primitives alone on memory that stays in place
//                 (bench/raw_convolution.h; weights' gradients with or without reordered activations, the
//                 faster one), the best of three runs, times how often the layer occurs
// The two take turns for ROUNDS rounds; a line of the table is a direction: medians, and isolated / in the
// step.
//   OMP_WAIT_POLICY=passive bench_onednn_step MODEL BATCH SIDE ROUNDS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "autograd/grad.h"
#include "bench/raw_convolution.h"
#include "core/profile.h"
#include "layers/layers.h"
#include "models/model.h"
#include "train/optimizer.h"

namespace {

using namespace backlight;

using Milliseconds = std::array<double, 3>;  // by RawConvolution::Direction

struct Occurrence {
    ConvolutionLayer layer;
    bool first;  // its input is the image, whose gradient nobody asks for
};

std::vector<Occurrence> convolutions_of(Module& net, const Variable& x) {
    std::vector<Occurrence> found;
    for (const auto& [path, module] : net.modules()) {
        if (dynamic_cast<Conv2d*>(module) != nullptr) {
            (void)module->add_hook([&](Module& conv, const Variable& in, const Variable& out) {
                const Shape& weight = conv.own_parameters()[0].value.shape();
                found.push_back({{in.dim(3), out.dim(3), in.dim(1), weight[1], in.dim(1) / out.dim(1), false},
                                 !in.requires_grad()});
                return Variable();
            });
        }
    }
    (void)net(x);
    return found;
}

template <typename Run>
double milliseconds(const Run& run) {
    const auto start = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double best_of_three(RawConvolution& raw, RawConvolution::Direction direction) {
    raw.run(direction);
    double best = 1e30;
    for (int i = 0; i < 3; ++i) {
        best = std::min(best, milliseconds([&] { raw.run(direction); }));
    }
    return best;
}

Milliseconds isolated(const std::vector<Occurrence>& occurrences, int64_t batch) {
    std::map<std::array<int64_t, 5>, Milliseconds> known;
    Milliseconds sum{};
    for (const auto& [layer, first] : occurrences) {
        const auto [at, is_new] =
            known.try_emplace({layer.in, layer.out, layer.size, layer.kernel, layer.stride});
        Milliseconds& own = at->second;
        if (is_new) {
            RawConvolution raw(layer, batch);
            for (const auto direction : {RawConvolution::kForward, RawConvolution::kBackwardData,
                                         RawConvolution::kBackwardWeights}) {
                own[direction] = best_of_three(raw, direction);
            }
            ConvolutionLayer blocked = layer;
            blocked.blocked_weight_gradient = true;
            RawConvolution other(blocked, batch);
            double& weights = own[RawConvolution::kBackwardWeights];
            weights = std::min(weights, best_of_three(other, RawConvolution::kBackwardWeights));
        }
        for (size_t i = 0; i < sum.size(); ++i) {
            sum[i] += first && i == RawConvolution::kBackwardData ? 0 : own[i];
        }
    }
    return sum;
}

Milliseconds in_step(const Profile& profile) {
    const std::array<std::string_view, 3> names{"conv2d", "conv2d_backward_data", "conv2d_backward_weights"};
    Milliseconds sum{};
    for (const Profile::Event& event : profile.events()) {
        for (size_t i = 0; i < names.size(); ++i) {
            sum[i] += event.name == names[i] ? event.duration_us * 1e-3 : 0;
        }
    }
    return sum;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void run(const std::string& spec, int64_t batch, int64_t side, int rounds) {
    Tensor pixels = Tensor::empty({batch, side, side, 3});
    pixels.backend().random_normal(pixels, {.seed = 1});
    const std::vector<Occurrence> occurrences = convolutions_of(*build_model(spec).net, Variable(pixels));
    Model model = build_model(spec);
    const auto optimizer = make_optimizer({.name = "sgd", .momentum = 0.9}, model.net->parameters());
    const Tensor labels = Tensor::zeros({batch}, DType::i64);
    const auto step = [&] {
        const Variable loss = cross_entropy((*model.net)(Variable(pixels)), labels);
        model.net->zero_grad();
        backward(loss);
        optimizer->step(0.001);
    };
    step();
    const std::vector<const char*> names{"forward", "gradient of the input", "gradient of the weights",
                                         "all"};
    std::vector<std::vector<double>> alone(4), within(4), ratio(4);
    for (int round = 0; round < rounds; ++round) {
        const Milliseconds inside = [&] {
            const Profile profile;
            step();
            return in_step(profile);
        }();
        const Milliseconds outside = isolated(occurrences, batch);
        for (size_t i = 0; i < 4; ++i) {
            alone[i].push_back(i < 3 ? outside[i] : outside[0] + outside[1] + outside[2]);
            within[i].push_back(i < 3 ? inside[i] : inside[0] + inside[1] + inside[2]);
            ratio[i].push_back(alone[i].back() / within[i].back());
        }
    }
    for (size_t i = 0; i < 4; ++i) {
        const auto [low, high] = std::minmax_element(ratio[i].begin(), ratio[i].end());
        std::printf("| %s, batch %d | %s | %.1f ms | %.1f ms | %.2f (%.2f to %.2f) |\n", spec.c_str(),
                    static_cast<int>(batch), names[i], median(alone[i]), median(within[i]), median(ratio[i]),
                    *low, *high);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) {
        std::fputs("bench_onednn_step MODEL BATCH SIDE ROUNDS\n", stderr);
        return 2;
    }
    try {
        run(arguments[1], std::atoll(arguments[2]), std::atoll(arguments[3]),
            std::max(std::atoi(arguments[4]), 1));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_onednn_step: %s\n", error.what());
        return 1;
    }
    return 0;
}
