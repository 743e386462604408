// What concept analyses read: sets of samples that show something, activations and attributions over a data
// set, and samples as pictures.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "datasets/dataset.h"
#include "explain/concepts/cav.h"
#include "explain/explainer.h"
#include "models/model.h"

namespace backlight {

/// Pictures of a folder, or some samples of a data set.
struct SampleSet {
    std::string name;
    std::vector<std::filesystem::path> files;  // either these
    std::shared_ptr<const Dataset> data;       // or those of `data`
    std::vector<int64_t> indices;

    [[nodiscard]] int64_t size() const {
        return static_cast<int64_t>(files.empty() ? indices.size() : files.size());
    }
    /// (n,H,W,C) or (n,D) as the model takes them.
    [[nodiscard]] Tensor input(const Model& model, int64_t first, int64_t count) const;
    /// At most `count` members: the first of a random order of that seed. 0: all, as they come.
    [[nodiscard]] SampleSet limited(int64_t count, uint64_t seed) const;
};

/// "DIR": the pictures in a folder; "class=NAME" (or number), "COLUMN=VALUE" and "all": of the data set.
/// Throws Error that names what there is when nothing is found.
[[nodiscard]] SampleSet parse_sample_set(const std::string& text, const std::shared_ptr<const Dataset>& data);
/// The samples of the data that are not in the set; all of them where it is of other samples.
[[nodiscard]] SampleSet all_but(const SampleSet& set, const std::shared_ptr<const Dataset>& data);

/// A class by name or number. Throws Error that lists them.
[[nodiscard]] int64_t class_number(const std::string& text, const std::vector<std::string>& names,
                                   int64_t classes);

/// Samples that a recorded pass takes at once where nobody says otherwise: a million input values.
[[nodiscard]] int64_t explained_at_once(const Shape& sample);

/// Runs the network on the members in batches. Throws Error when their shape does not fit the model.
void for_each_forward(const Model& model, const SampleSet& set, int64_t batch_size,
                      const std::function<void(const ExplainedForward& forward, int64_t first)>& body);

/// Activations at the output of a layer of all members, pooled, f64. Throws Error for a layer without them.
[[nodiscard]] Tensor activations_of(const Model& model, const SampleSet& set, const std::string& layer,
                                    ActivationPooling pooling, int64_t batch_size);

/// Rows below one another: tensors of the same shape but for their first extent.
[[nodiscard]] Tensor stacked(const std::vector<Tensor>& parts);

/// A sample as a picture, u8 (H,W,3); undefined where it is none.
[[nodiscard]] Tensor sample_picture(const Dataset& data, int64_t index);
[[nodiscard]] Tensor file_picture(const std::filesystem::path& file);
/// Averaged down so that no edge is longer than `edge`; smaller pictures stay.
[[nodiscard]] Tensor shrunk(const Tensor& picture, int64_t edge);

/// Makes the folder; throws Error that names the option when that is not possible.
void make_output_folder(const std::filesystem::path& folder);

}  // namespace backlight
