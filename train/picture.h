// Pictures as a model takes them.
#pragma once

#include <filesystem>

#include "models/model.h"

namespace backlight {

/// Decodes a picture, scales its shorter side to the model's window or to what the model states for it, cuts
/// the window from the middle, scales values to [0,1] and normalises them as the model states:
/// (1, H, W, C), f32. Throws Error on a model of vectors or of odd channels.
[[nodiscard]] Tensor read_picture(const std::filesystem::path& path, const Model& model);

}  // namespace backlight
