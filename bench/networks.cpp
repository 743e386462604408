// Steps of whole networks in a process of its own, for bench/networks.py: prints one line of JSON with the
// median time of a step, the time of the first one, the peak of resident memory, and of that what tensors
// held.
//   bench_networks MODEL train|infer BATCH SIDE STEPS [f32|bf16] [recompute] [profile]
// With `profile` the last step's time is broken down by op on stderr; `recompute` is that of `backlight
// train`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/backends/host_memory.h"
#include "core/error.h"
#include "core/profile.h"
#include "models/model.h"
#include "train/optimizer.h"

namespace {

using namespace backlight;

/// The highest resident memory so far, in MB.
double peak_megabytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) {
            return std::atof(line.c_str() + 6) * 1024.0 / 1e6;
        }
    }
    return 0;
}

struct Choices {
    bool bf16 = false, recompute = false, profile = false;
};

void run(const std::string& spec, bool train, int64_t batch, int64_t side, int steps,
         const Choices& options) {
    const PrecisionScope precision(options.bf16 ? DType::bf16 : DType::f32);
    Model model = build_model(spec);
    model.net->train(train);
    BACKLIGHT_CHECK(!options.recompute || model.net->set_recompute(true) > 0, spec, " has no segments");
    const auto optimizer = make_optimizer({.name = "sgd", .momentum = 0.9}, model.net->parameters());
    Tensor pixels = Tensor::empty({batch, side, side, 3});
    pixels.backend().random_normal(pixels, {.seed = 1});
    const Variable x = pixels;
    std::vector<int64_t> classes;
    for (int64_t i = 0; i < batch; ++i) {
        classes.push_back(i % model.classes);
    }
    const Tensor labels = Tensor::from(classes, {batch});
    std::vector<double> milliseconds;
    std::optional<Profile> profiled;
    for (int i = 0; i < steps; ++i) {
        if (options.profile && i + 1 == steps) {
            profiled.emplace();
        }
        const auto start = std::chrono::steady_clock::now();
        if (train) {
            const Variable loss = cross_entropy((*model.net)(x), labels);
            model.net->zero_grad();
            backward(loss);
            optimizer->step(0.001);
        } else {
            const NoGrad off;
            (void)(*model.net)(x).data();
        }
        milliseconds.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
    if (profiled) {
        std::fputs(profiled->table().c_str(), stderr);
    }
    const double first = milliseconds.front();
    std::vector<double> settled(milliseconds.begin() + steps / 4, milliseconds.end());
    std::nth_element(settled.begin(), settled.begin() + settled.size() / 2, settled.end());
    std::printf("{\"ms\": %.4g, \"first_ms\": %.4g, \"peak_mb\": %.4g, \"tensors_mb\": %.4g}\n",
                settled[settled.size() / 2], first, peak_megabytes(),
                static_cast<double>(host_memory_statistics().peak) / 1e6);
}

}  // namespace

int main(int count, char** arguments) {
    Choices options;
    bool known = count >= 6;
    for (int i = 6; i < count; ++i) {
        const std::string word = arguments[i];
        options.bf16 = options.bf16 || word == "bf16";
        options.recompute = options.recompute || word == "recompute";
        options.profile = options.profile || word == "profile";
        known = known && (word == "f32" || word == "bf16" || word == "recompute" || word == "profile");
    }
    if (!known) {
        std::fputs("bench_networks MODEL train|infer BATCH SIDE STEPS [f32|bf16] [recompute] [profile]\n",
                   stderr);
        return 2;
    }
    try {
        run(arguments[1], std::string(arguments[2]) == "train", std::atoll(arguments[3]),
            std::atoll(arguments[4]), std::max(std::atoi(arguments[5]), 2), options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_networks: %s\n", error.what());
        return 1;
    }
    return 0;
}
