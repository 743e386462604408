// backlight explain: which parts of an input (or of a layer) speak for a class.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iomanip>
#include <iostream>
#include <memory>

#include "apps/checks.h"
#include "apps/commands.h"
#include "apps/input.h"
#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "explain/explainer.h"
#include "report/contact_sheet.h"
#include "report/heatmap.h"
#include "report/reduce.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

struct Config {
    std::string model, weights, input, method = "lrp", target = "predicted", layer, out, precision = "f32";
    std::string reduce = "sum", colormap = "blue-white-red", view = "overlay";
    double percentile = 100;
    int64_t classes = 0, seed = 0;
};

/// One vector of targets a map: one for T and predicted, K for all.
std::vector<std::vector<int64_t>> targets_of(const Config& c, const ExplainedForward& forward,
                                             const std::vector<std::string>& names) {
    const auto samples = static_cast<size_t>(forward.logits().dim(0));
    const int64_t classes = forward.logits().dim(1);
    if (c.target == "predicted") {
        return {forward.predicted()};
    }
    if (c.target == "all") {
        std::vector<std::vector<int64_t>> all;
        for (int64_t k = 0; k < classes; ++k) {
            all.emplace_back(samples, k);
        }
        return all;
    }
    const auto named = std::find(names.begin(), names.end(), c.target);
    int64_t target = named - names.begin();
    if (named == names.end()) {
        const auto [end, error] = std::from_chars(c.target.data(), c.target.data() + c.target.size(), target);
        BACKLIGHT_CHECK(error == std::errc() && end == c.target.data() + c.target.size(),
                        "--target: expected a class number, predicted or all, got \"", c.target, "\"");
    }
    BACKLIGHT_CHECK(target >= 0 && target < classes, "--target: ", c.target,
                    " is out of range, the model has classes 0..", classes - 1);
    return {std::vector<int64_t>(samples, target)};
}

/// Prints sum, explained logit and gap of each sample.
void print_sums(const Tensor& relevance, const Tensor& logits, const std::vector<int64_t>& targets,
                Start start, const std::string& method) {
    const NoGrad off;
    const Tensor per_sample = sum(flatten(Variable(relevance.to(DType::f64))), {1}).data();
    const auto sums = per_sample.to_vector<double>();
    const auto scores = logits.to(DType::f64).to_vector<double>();
    const auto classes = static_cast<size_t>(logits.dim(1));
    constexpr size_t kShown = 10;
    for (size_t n = 0; n < std::min(sums.size(), kShown); ++n) {
        const double logit = scores[n * classes + static_cast<size_t>(targets[n])];
        std::cout << method << " (start=" << name_of(start) << ") sample " << n << " target " << targets[n]
                  << ": sum " << std::setprecision(9) << sums[n] << "  logit " << logit << "  gap "
                  << logit - sums[n] << "\n";
    }
    if (sums.size() > kShown) {
        std::cout << "... and " << sums.size() - kShown << " more samples\n";
    }
}

Tensor pixels(const Tensor& map, report::Reduce reduce, int64_t n) {
    return report::batch_item(report::reduce_channels(map.to(DType::f32), reduce), n);
}

/// Pictures of the maps, one column a target, one row a sample.
Tensor draw(const Config& c, const Tensor& x, const std::vector<Tensor>& maps) {
    BACKLIGHT_CHECK(maps[0].rank() == 4,
                    "--out: a picture needs a relevance of shape (N,H,W,C), this one is ", maps[0].shape(),
                    "; write .npy");
    const report::Reduce reduce = report::parse_reduce(c.reduce);
    report::HeatmapOptions heatmap{.colormap = c.colormap, .percentile = c.percentile};
    const auto low = amin(Variable(x.to(DType::f64))).item();
    const auto high = amax(Variable(x.to(DType::f64))).item();
    std::vector<std::vector<Tensor>> rows;
    for (int64_t n = 0; n < maps[0].dim(0); ++n) {
        std::vector<Tensor> row;
        for (const Tensor& map : maps) {
            const Tensor relevance = pixels(map, reduce, n);
            const bool drawable = x.rank() == 4 && (x.dim(3) == 1 || x.dim(3) == 3);
            if (c.view == "raw" || !drawable) {
                row.push_back(report::heatmap_image(relevance, heatmap));
                continue;
            }
            const Tensor image =
                report::picture(report::batch_item(x.to(DType::f32), n), low, std::max(high, low + 1e-9));
            const Tensor over = report::overlay(image, relevance, {.heatmap = heatmap});
            row.push_back(c.view == "side"
                              ? report::side_by_side({image, report::heatmap_image(relevance, heatmap), over})
                              : over);
        }
        rows.push_back(row);
    }
    // Small pictures grow by a whole factor, so that each of their pixels can be seen.
    const int64_t factor = std::max<int64_t>(1, 256 / std::max<int64_t>(x.rank() == 4 ? x.dim(1) : 1, 1));
    for (auto& row : rows) {
        for (Tensor& picture : row) {
            picture = report::enlarge(picture, factor);
        }
    }
    return rows.size() == 1 && rows[0].size() == 1 ? rows[0][0] : report::grid(rows);
}

int run(const Config& c) {
    const bool as_picture = c.out.ends_with(".png");
    BACKLIGHT_CHECK(as_picture || c.out.ends_with(".npy"),
                    "--out: expected a name that ends in .npy or .png, got ", c.out);
    check_output("--out", c.out);
    const DType dtype = c.precision == "f64" ? DType::f64 : DType::f32;
    LoadedModel loaded = load_model(c.model, c.classes, c.weights, dtype);
    const Tensor x = read_input(c.input, loaded.model, dtype);
    const auto explainer =
        build_method(c.method, {.cam_layer = loaded.model.cam_layer, .low = loaded.low, .high = loaded.high});
    const ExplainedForward forward(*loaded.model.net, x);
    if (!forward.stripped().empty()) {
        std::cout << "explained: the input of the final " << forward.stripped() << "\n";
    }
    const auto targets = targets_of(c, forward, loaded.class_names);
    std::vector<Tensor> maps;
    for (const auto& target : targets) {
        maps.push_back(forward.explain(*explainer, {.targets = target, .layers = {c.layer}}));
        print_sums(maps.back(), forward.logits().data(), target, explainer->start(), explainer->name());
    }
    if (as_picture) {
        write_png(c.out, draw(c, x, maps));
    } else if (c.target == "all") {
        Variables stacked;
        for (const Tensor& map : maps) {
            Shape shape{1};
            for (const int64_t extent : map.shape()) {
                shape.push_back(extent);
            }
            stacked.emplace_back(map.reshape(shape));
        }
        write_npy(c.out, concat(stacked, 0).data());
    } else {
        write_npy(c.out, maps[0]);
    }
    std::cout << "written: " << c.out << "\n";
    return 0;
}

}  // namespace

Run add_explain(CLI::App& app, const Common&) {
    CLI::App* cmd = app.add_subcommand("explain", "Explain predictions of a model");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)")->required();
    cmd->add_option("--weights", c->weights, "Weights (safetensors)")->required();
    cmd->add_option("--input", c->input, "X.npy (N,H,W,C) or (N,D), used as it is, or a picture")->required();
    cmd->add_option("--method", c->method,
                    "Method with options, e.g. grad_cam, \"epsilon_plus(epsilon=0.25)\"; "
                    "start=one|logit|prob|... sets what arrives at the output "
                    "(backlight list methods)");
    cmd->add_option("--target", c->target, "Class number or name, predicted, or all");
    cmd->add_option("--layer", c->layer, "Explain the output of this layer, or its input: LAYER:in");
    cmd->add_option("--out", c->out, "R.npy of the explained tensor's shape, or R.png")->required();
    cmd->add_option("--classes", c->classes, "Number of outputs; 0: as the weights have");
    cmd->add_option("--precision", c->precision, "f32, or f64 on the reference backend")
        ->check(CLI::IsMember({"f32", "f64"}));
    cmd->add_option("--reduce", c->reduce, "Channels of a picture: sum, abs-sum, max-abs, mean, l2, pos-sum");
    cmd->add_option("--colormap", c->colormap, "blue-white-red, grey, viridis");
    cmd->add_option("--view", c->view, "Picture: overlay, raw, side")
        ->check(CLI::IsMember({"overlay", "raw", "side"}));
    cmd->add_option("--percentile", c->percentile, "Clip |R| above this percentile in pictures")
        ->check(CLI::Range(0.0, 100.0));
    cmd->add_option("--seed", c->seed, "Random seed of methods that draw");
    return [c] { return run(*c); };
}

}  // namespace backlight::apps
