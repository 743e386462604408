// Explanations of whole networks in a process of its own, for bench/explanations.py: prints one line of JSON
// with the median time of an explanation (forward pass included), the peak of resident memory, and of that
// what tensors held.
//   bench_explanations MODEL METHOD BATCH SIDE STEPS [profile] [layers]
// With `profile` the last one's time is broken down by op on stderr; with `layers` the relevance of every
// layer's output is asked for, in one traversal.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/backend.h"
#include "core/backends/host_memory.h"
#include "core/profile.h"
#include "explain/explainer.h"
#include "models/model.h"

namespace {

using namespace backlight;

/// Resident memory in MB, now ("VmRSS:") or its highest so far ("VmHWM:").
double megabytes(const std::string& which) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with(which)) {
            return std::atof(line.c_str() + which.size()) * 1024.0 / 1e6;
        }
    }
    return 0;
}

/// As He et al. draw them; the peak of memory is then that of what is measured.
void fill_weights(Module& net) {
    const NoGrad off;
    uint64_t seed = 0;
    for (const Parameter& parameter : net.parameters()) {
        Tensor value = parameter.value.data();
        if (value.rank() < 2) {
            if (parameter.name.ends_with("weight")) {
                value.fill(1);
            }
            continue;
        }
        value.backend().random_normal(value, {.seed = ++seed});
        if (value.numel() >
            (1 << 24)) {  // the first linear layer of VGG: scaling it would be the peak of memory
            continue;
        }
        const double fan_in = static_cast<double>(value.numel() / value.dim(0));
        value.copy_from((Variable(value) * std::sqrt(2 / fan_in)).data());
    }
}

void run(const std::string& spec, const std::string& method, int64_t batch, int64_t side, int steps,
         const std::set<std::string>& more) {
    const bool profile = more.contains("profile"), layers = more.contains("layers");
    Model model =
        build_network(spec);  // its own way of drawing weights takes more memory than an explanation
    fill_weights(*model.net);
    Tensor pixels = Tensor::empty({batch, side, side, 3});
    pixels.backend().random_normal(pixels, {.seed = 1});
    std::vector<int64_t> targets;
    for (int64_t i = 0; i < batch; ++i) {
        targets.push_back(i % model.classes);
    }
    const auto explainer = build_method(method, {.cam_layer = model.cam_layer, .low = {-2.5}, .high = {2.5}});
    const auto keeps = explainer->reads_values() ? Recording::Keeps::values : Recording::Keeps::names;
    std::vector<double> milliseconds;
    std::optional<Profile> profiled;
    double after_ten = 0;
    for (int i = 0; i < steps; ++i) {
        if (profile && i + 1 == steps) {
            profiled.emplace();
        }
        const auto start = std::chrono::steady_clock::now();
        ExplainRequest request{.targets = targets};
        const ExplainedForward forward(*model.net, pixels, keeps,
                                       layers ? "" : explainer->reads_from(request));
        if (layers) {
            for (const std::string& name : forward.layers().names()) {
                if (forward.layers().handle(name).requires_grad()) {
                    request.layers.push_back(name);
                }
            }
            request.layers.emplace_back();
        }
        (void)forward.explain(*explainer, request);
        milliseconds.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        after_ten = i == 9 ? megabytes("VmRSS:") : after_ten;
    }
    if (profiled) {
        std::fputs(profiled->table().c_str(), stderr);
    }
    const double first = milliseconds.front();
    const auto settled = milliseconds.begin() + static_cast<int64_t>(milliseconds.size() / 4);
    std::sort(settled, milliseconds.end());
    std::printf(
        "{\"ms\": %.3f, \"first_ms\": %.3f, \"peak_mb\": %.1f, \"tensors_mb\": %.1f, \"after_ten_mb\": %.1f, "
        "\"end_mb\": %.1f}\n",
        *(settled + (milliseconds.end() - settled) / 2), first, megabytes("VmHWM:"),
        static_cast<double>(host_memory_statistics().peak) / 1e6, after_ten, megabytes("VmRSS:"));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) {
        std::fputs("usage: bench_explanations MODEL METHOD BATCH SIDE STEPS [profile] [layers]\n", stderr);
        return 2;
    }
    try {
        run(argv[1], argv[2], std::atoll(argv[3]), std::atoll(argv[4]), std::atoi(argv[5]),
            {argv + 6, argv + argc});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bench_explanations: %s\n", e.what());
        return 1;
    }
    return 0;
}
