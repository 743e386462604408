#include "datasets/in_memory.h"

#include <algorithm>

#include "core/error.h"

namespace backlight {

InMemoryDataset::InMemoryDataset(const Shape& shape, std::vector<uint8_t> values, std::vector<int64_t> labels,
                                 std::vector<std::string> class_names)
    : stored_shape_(shape), bytes_(std::move(values)), labels_(std::move(labels)) {
    info_.class_names = std::move(class_names);
    info_.sample_shape = shape;
    check();
}

InMemoryDataset::InMemoryDataset(const Shape& shape, std::vector<float> values, std::vector<int64_t> labels,
                                 std::vector<std::string> class_names)
    : stored_shape_(shape), floats_(std::move(values)), labels_(std::move(labels)) {
    info_.class_names = std::move(class_names);
    info_.sample_shape = shape;
    check();
}

void InMemoryDataset::check() const {
    BACKLIGHT_CHECK(stored_shape_.rank() == 3 || stored_shape_.rank() == 1,
                    "dataset: samples have shape (H, W, C) or (D), got ", stored_shape_);
    const size_t values = bytes_.size() + floats_.size();
    BACKLIGHT_CHECK(values == labels_.size() * static_cast<size_t>(stored_shape_.numel()),
                    "dataset: ", labels_.size(), " samples of shape ", stored_shape_, " need ",
                    labels_.size() * static_cast<size_t>(stored_shape_.numel()), " values, got ", values);
    for (size_t i = 0; i < labels_.size(); ++i) {
        BACKLIGHT_CHECK(labels_[i] >= 0 && labels_[i] < num_classes(), "dataset: label ", labels_[i],
                        " of sample ", i, " is not in 0..", num_classes() - 1);
    }
}

void InMemoryDataset::set_plane(std::vector<float>& plane, std::vector<float> values,
                                std::string_view what) const {
    const auto expected = static_cast<size_t>(mask_shape().numel()) * labels_.size();
    BACKLIGHT_CHECK(values.size() == expected, "dataset: ", what, " need ", expected, " values, got ",
                    values.size());
    plane = std::move(values);
}

void InMemoryDataset::set_masks(std::vector<float> masks) {
    set_plane(masks_, std::move(masks), "masks");
    info_.has_mask = !masks_.empty();
}

void InMemoryDataset::set_decoy_masks(std::vector<float> masks) {
    set_plane(decoys_, std::move(masks), "decoy masks");
    info_.has_decoy = !decoys_.empty();
}

void InMemoryDataset::set_column(const std::string& name, std::vector<int64_t> values) {
    BACKLIGHT_CHECK(values.size() == labels_.size(), "dataset: column ", name, " needs ", labels_.size(),
                    " values, got ", values.size());
    columns_[name] = std::move(values);
}

void InMemoryDataset::set_presence(std::vector<Presence> presence) {
    const size_t expected = labels_.size() * info_.class_names.size();
    BACKLIGHT_CHECK(presence.size() == expected, "dataset: presence needs ", expected, " values, got ",
                    presence.size());
    presence_ = std::move(presence);
    info_.multi_label = true;
}

void InMemoryDataset::measure_range() {
    const auto channels = static_cast<size_t>(stored_shape_[-1]);
    if (labels_.empty()) {
        return;
    }
    const auto at = [this](size_t i) {
        return bytes_.empty() ? floats_[i] : static_cast<float>(bytes_[i]) / 255.0f;
    };
    std::vector<float> low(channels), high(channels);
    for (size_t c = 0; c < channels; ++c) {
        low[c] = high[c] = at(c);
        for (size_t i = c; i < bytes_.size() + floats_.size(); i += channels) {
            low[c] = std::min(low[c], at(i));
            high[c] = std::max(high[c], at(i));
        }
    }
    set_raw_range(std::move(low), std::move(high));
}

int64_t InMemoryDataset::label(int64_t index) const {
    check_index(index);
    BACKLIGHT_CHECK(!info_.multi_label, "dataset: multi-label samples have no single label");
    return labels_[static_cast<size_t>(index)];
}

std::vector<Presence> InMemoryDataset::presence(int64_t index) const {
    if (!info_.multi_label) {
        return Dataset::presence(index);
    }
    check_index(index);
    const auto row = presence_.begin() + index * num_classes();
    return {row, row + num_classes()};
}

void InMemoryDataset::copy_input(int64_t index, std::span<float> out) const {
    const size_t begin = static_cast<size_t>(index) * out.size();
    if (bytes_.empty()) {
        std::copy_n(floats_.begin() + static_cast<std::ptrdiff_t>(begin), out.size(), out.begin());
    } else {
        std::transform(bytes_.begin() + static_cast<std::ptrdiff_t>(begin),
                       bytes_.begin() + static_cast<std::ptrdiff_t>(begin + out.size()), out.begin(),
                       [](uint8_t value) { return static_cast<float>(value) / 255.0f; });
    }
}

RawSample InMemoryDataset::load(int64_t index) const {
    check_index(index);
    const bool image = stored_shape_.rank() == 3;
    const int64_t height = image ? stored_shape_[0] : 1;
    const int64_t width = image ? stored_shape_[1] : 1;
    const auto plane_of = [&](const std::vector<float>& planes) {
        Image plane;
        if (!planes.empty()) {
            plane = Image(height, width, image ? 1 : stored_shape_[0]);
            std::copy_n(planes.begin() + index * static_cast<std::ptrdiff_t>(plane.values.size()),
                        plane.values.size(), plane.values.begin());
        }
        return plane;
    };
    RawSample sample{.input = Image(height, width, stored_shape_[-1]),
                     .mask = plane_of(masks_),
                     .decoy = plane_of(decoys_)};
    copy_input(index, sample.input.values);
    return sample;
}

bool InMemoryDataset::is_quick() const { return info_.transforms.empty(); }

void InMemoryDataset::read(int64_t index, const std::optional<RandomDraw>& draw,
                           const SampleSlot& slot) const {
    if (!info_.transforms.empty()) {
        Dataset::read(index, draw, slot);
        return;
    }
    check_index(index);
    if (!slot.input.empty()) {
        copy_input(index, slot.input);
        normalize(slot.input);
    }
    const auto copy_plane = [index](const std::vector<float>& planes, std::span<float> out) {
        if (!out.empty()) {
            std::copy_n(planes.begin() + index * static_cast<std::ptrdiff_t>(out.size()), out.size(),
                        out.begin());
        }
    };
    copy_plane(masks_, slot.mask);
    copy_plane(decoys_, slot.decoy);
}

const std::vector<int64_t>& InMemoryDataset::column(std::string_view name) const {
    const auto it = columns_.find(name);
    return it == columns_.end() ? Dataset::column(name) : it->second;
}

std::vector<std::string> InMemoryDataset::column_names() const {
    std::vector<std::string> names;
    for (const auto& [name, values] : columns_) {
        names.push_back(name);
    }
    return names;
}

std::shared_ptr<InMemoryDataset> make_dataset(const Tensor& inputs, std::vector<int64_t> labels,
                                              std::vector<std::string> class_names) {
    BACKLIGHT_CHECK(inputs.rank() == 4 || inputs.rank() == 2,
                    "dataset: inputs are (N, H, W, C) or (N, D), got ", inputs.shape());
    BACKLIGHT_CHECK(inputs.dim(0) == static_cast<int64_t>(labels.size()), "dataset: ", inputs.dim(0),
                    " inputs, but ", labels.size(), " labels");
    const Shape shape(inputs.shape().extents().subspan(1));
    if (inputs.dtype() == DType::u8) {
        return std::make_shared<InMemoryDataset>(shape, inputs.to_vector<uint8_t>(), std::move(labels),
                                                 std::move(class_names));
    }
    return std::make_shared<InMemoryDataset>(shape, inputs.to_vector<float>(), std::move(labels),
                                             std::move(class_names));
}

std::shared_ptr<InMemoryDataset> materialize(const Dataset& set) {
    const Batch all = set.all();
    const bool multi_label = set.is_multi_label();
    auto copy = std::make_shared<InMemoryDataset>(
        set.sample_shape(), all.input.to_vector<float>(),
        multi_label ? std::vector<int64_t>(static_cast<size_t>(set.size())) : all.label.to_vector<int64_t>(),
        set.class_names());
    if (multi_label) {
        std::vector<Presence> presence;
        for (int64_t i = 0; i < set.size(); ++i) {
            const std::vector<Presence> row = set.presence(i);
            presence.insert(presence.end(), row.begin(), row.end());
        }
        copy->set_presence(std::move(presence));
    }
    if (all.mask.defined()) {
        copy->set_masks(all.mask.to_vector<float>());
    }
    if (all.decoy_mask.defined()) {
        copy->set_decoy_masks(all.decoy_mask.to_vector<float>());
    }
    for (const std::string& name : set.column_names()) {
        copy->set_column(name, set.column(name));
    }
    const InputRange range = set.input_range();
    copy->set_raw_range(range.low, range.high);
    return copy;
}

std::vector<std::string> numbered_classes(int64_t n) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < n; ++i) {
        names.push_back(std::to_string(i));
    }
    return names;
}

}  // namespace backlight
