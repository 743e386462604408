// InMemoryDataset: all samples in one block of bytes or floats. Bytes stand for value / 255.
#pragma once

#include <map>

#include "datasets/dataset.h"

namespace backlight {

class InMemoryDataset : public Dataset {
public:
    /// `values` has labels.size() * shape.numel() elements, `shape` is (H, W, C) or (D). Throws Error when
    /// the numbers disagree or a label is not in 0..class_names.size()-1.
    InMemoryDataset(const Shape& shape, std::vector<uint8_t> values, std::vector<int64_t> labels,
                    std::vector<std::string> class_names);
    InMemoryDataset(const Shape& shape, std::vector<float> values, std::vector<int64_t> labels,
                    std::vector<std::string> class_names);

    /// One plane of (H, W) or (D) a sample. Throws Error on another number of values.
    void set_masks(std::vector<float> masks);
    void set_decoy_masks(std::vector<float> masks);
    void set_column(const std::string& name, std::vector<int64_t> values);
    /// Makes the set multi-label: (N, K) in rows. Its labels no longer count.
    void set_presence(std::vector<Presence> presence);
    /// The range before normalisation becomes what the values span, channel by channel.
    void measure_range();

    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override;
    [[nodiscard]] std::vector<Presence> presence(int64_t index) const override;
    [[nodiscard]] RawSample load(int64_t index) const override;
    [[nodiscard]] bool is_quick() const override;
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override;
    [[nodiscard]] std::vector<std::string> column_names() const override;
    void read(int64_t index, const std::optional<RandomDraw>& draw, const SampleSlot& slot) const override;

private:
    void check() const;
    void set_plane(std::vector<float>& plane, std::vector<float> values, std::string_view what) const;
    void copy_input(int64_t index, std::span<float> out) const;

    Shape stored_shape_;
    std::vector<uint8_t> bytes_;
    std::vector<float> floats_;  // one of the two is empty
    std::vector<int64_t> labels_;
    std::vector<Presence> presence_;  // (N, K); empty unless the set is multi-label
    std::vector<float> masks_, decoys_;
    std::map<std::string, std::vector<int64_t>, std::less<>> columns_;
};

/// From tensors, for samples that a program made: inputs (N, H, W, C) or (N, D), u8 or f32, on any device.
[[nodiscard]] std::shared_ptr<InMemoryDataset> make_dataset(const Tensor& inputs, std::vector<int64_t> labels,
                                                            std::vector<std::string> class_names);

/// A copy in memory of what `get` gives without a draw: transformed and normalised, once and for all.
[[nodiscard]] std::shared_ptr<InMemoryDataset> materialize(const Dataset& set);

/// "0", "1", ..., for sets whose classes have no names.
[[nodiscard]] std::vector<std::string> numbered_classes(int64_t n);

}  // namespace backlight
