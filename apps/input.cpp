#include "apps/input.h"

#include <CLI/CLI.hpp>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "datasets/sources.h"
#include "train/picture.h"

namespace backlight::apps {

Tensor read_input(const std::filesystem::path& path, const Model& model, DType dtype) {
    const std::string extension = path.extension().string();
    Tensor x = extension == ".npy" ? read_npy(path) : read_picture(path, model);
    BACKLIGHT_CHECK(is_floating(x.dtype()), path.string(), ": expected float32 or float64, got ", x.dtype());
    BACKLIGHT_CHECK(x.rank() == 2 || x.rank() == 4, path.string(), ": expected (N,H,W,C) or (N,D), got ",
                    x.shape());
    BACKLIGHT_CHECK(x.dim(0) > 0, path.string(), ": holds no samples, its shape is ", x.shape());
    model.check_input(x.shape());
    x = x.to(dtype);
    BACKLIGHT_CHECK(sum(1.0 - Variable(mask(UnaryOp::is_finite, x))).item() == 0, path.string(),
                    ": holds values that are not finite");
    return x;
}

std::string choose_normalization(LoadedModel& loaded, const std::string& how) {
    Model& model = loaded.model;
    if (how == "weights") {
        if (loaded.states_input || model.mean.empty()) {
            return {};
        }
        const bool names = !loaded.class_names.empty();
        return std::string(
                   "pictures are sized and normalised as published weights of this architecture expect") +
               (names ? " and classes named as ImageNet's" : "") + "; the file states nothing (--normalize)";
    }
    if (how == "imagenet") {
        BACKLIGHT_CHECK(model.input.rank() == 3 && model.input[2] == 3,
                        "--normalize imagenet: the pictures of ImageNet have 3 channels, the model takes ",
                        model.input);
        const auto [mean, deviation] = imagenet_normalization();
        model.mean.assign(mean.begin(), mean.end());
        model.std.assign(deviation.begin(), deviation.end());
    } else {
        model.mean = {how == "symmetric" ? 0.5 : 0.0};
        model.std = {how == "symmetric" ? 0.5 : 1.0};
    }
    loaded.low.clear();
    loaded.high.clear();
    for (size_t c = 0; c < model.mean.size(); ++c) {
        loaded.low.push_back(-model.mean[c] / model.std[c]);
        loaded.high.push_back((1 - model.mean[c]) / model.std[c]);
    }
    return {};
}

void take_input_of(LoadedModel& loaded, const Dataset& data) {
    if (loaded.states_input) {
        return;
    }
    const InputRange range = data.input_range();
    loaded.low.assign(range.low.begin(), range.low.end());
    loaded.high.assign(range.high.begin(), range.high.end());
    const Normalization& normalization = data.normalization();
    loaded.model.mean.assign(normalization.mean.begin(), normalization.mean.end());
    loaded.model.std.assign(normalization.std.begin(), normalization.std.end());
}

void add_normalize_option(CLI::App& cmd, std::string& how) {
    cmd.add_option(
           "--normalize", how,
           "What is taken from the values of a picture, 0 to 1: weights (as the file says), imagenet, "
           "symmetric (-1 to 1), none")
        ->check(CLI::IsMember({"weights", "imagenet", "symmetric", "none"}));
}

}  // namespace backlight::apps
