// Reading what `predict` and `explain` are given: X.npy as it is, pictures resized and normalised as the
// model states.
#pragma once

#include <filesystem>

#include "models/model.h"
#include "train/trainer.h"

namespace CLI {
class App;
}

namespace backlight::apps {

/// (N,H,W,C) or (N,D) in `dtype`. Throws Error when the file cannot be read, does not fit the model or is not
/// finite.
[[nodiscard]] Tensor read_input(const std::filesystem::path& path, const Model& model, DType dtype);

/// `how` is that of --normalize: "weights" (as the file says; of a file that says nothing what published
/// weights of the architecture expect), "imagenet", "symmetric" or "none". Returns a line for the reader
/// where the choice is an assumption; empty: none.
[[nodiscard]] std::string choose_normalization(LoadedModel& loaded, const std::string& how);
/// Of weights that state nothing of their input: how `data` normalises it, and its range.
void take_input_of(LoadedModel& loaded, const Dataset& data);
void add_normalize_option(CLI::App& cmd, std::string& how);

}  // namespace backlight::apps
