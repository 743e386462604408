// Pictures as a model takes them.
#pragma once

#include <filesystem>

#include "models/model.h"

namespace backlight {

/// Decodes a picture, fills the model's window with its shorter side, cuts the rest off evenly, scales to
/// [0,1] and normalises as the model states: (1, H, W, C), f32. Throws Error on a model of vectors or of odd
/// channels.
[[nodiscard]] Tensor read_picture(const std::filesystem::path& path, const Model& model);

}  // namespace backlight
