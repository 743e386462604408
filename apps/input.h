// Reading what `predict` and `explain` are given: X.npy as it is, pictures resized and normalised as the
// model states.
#pragma once

#include <filesystem>

#include "models/model.h"

namespace backlight::apps {

/// (N,H,W,C) or (N,D) in `dtype`. Throws Error when the file cannot be read, does not fit the model or is not
/// finite.
[[nodiscard]] Tensor read_input(const std::filesystem::path& path, const Model& model, DType dtype);

}  // namespace backlight::apps
