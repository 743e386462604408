#include "datasets/dataset.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "datasets/render.h"
#include "datasets/transforms.h"

namespace backlight {
namespace {

int64_t plane_size(const Shape& sample_shape) {
    return sample_shape.rank() == 3 ? sample_shape[0] * sample_shape[1] : sample_shape.numel();
}

/// One value per channel, from one per channel, one for all, or `fallback` if there is none.
float per_channel(const std::vector<float>& values, size_t channel, float fallback) {
    return values.empty() ? fallback : values[values.size() == 1 ? 0 : channel];
}

void check_channels(const std::vector<float>& values, int64_t channels, std::string_view what) {
    BACKLIGHT_CHECK(values.size() <= 1 || static_cast<int64_t>(values.size()) == channels, "dataset: ", what,
                    " expects 1 or ", channels, " values, got ", values.size());
}

/// An Error of a file becomes one that says so: a sample may be skipped, a mistake in the program may not.
template <typename Read>
auto reading(const Read& read) {
    try {
        return read();
    } catch (const Error& error) {
        throw CorruptSample(error.what());
    }
}

}  // namespace

Dataset::~Dataset() = default;

const std::vector<int64_t>& Dataset::column(std::string_view name) const {
    throw_error(unknown_name("column", name, column_names()));
}

int64_t Dataset::checked_label(int64_t index) const {
    const int64_t shown = label(index);
    BACKLIGHT_CHECK(shown >= 0 && shown < num_classes(), "dataset: sample ", index, " has label ", shown,
                    ", expected 0..", num_classes() - 1);
    return shown;
}

std::vector<Presence> Dataset::presence(int64_t index) const {
    std::vector<Presence> classes(info_.class_names.size(), Presence::absent);
    classes[static_cast<size_t>(checked_label(index))] = Presence::present;
    return classes;
}

Tensor Dataset::class_mask(int64_t index, int64_t) const {
    check_index(index);
    throw_error("dataset: there are no masks of single classes");
}

Shape Dataset::mask_shape() const {
    const Shape& shape = info_.sample_shape;
    return shape.rank() == 3 ? Shape{shape[0], shape[1]} : shape;
}

InputRange Dataset::input_range() const {
    const auto channels = static_cast<size_t>(info_.sample_shape.rank() == 0 ? 0 : info_.sample_shape[-1]);
    InputRange range;
    for (size_t c = 0; c < channels; ++c) {
        const float mean = per_channel(info_.normalization.mean, c, 0.0f);
        const float deviation = per_channel(info_.normalization.std, c, 1.0f);
        range.low.push_back((per_channel(info_.low, c, 0.0f) - mean) / deviation);
        range.high.push_back((per_channel(info_.high, c, 1.0f) - mean) / deviation);
    }
    return range;
}

void Dataset::check_index(int64_t index) const {
    BACKLIGHT_CHECK(index >= 0 && index < size(), "dataset: index ", index, " is not in 0..", size() - 1);
}

void Dataset::normalize(std::span<float> input) const {
    const auto& [mean, deviation] = info_.normalization;
    if (mean.empty() && deviation.empty()) {
        return;
    }
    const auto channels = static_cast<size_t>(info_.sample_shape[-1]);
    for (size_t c = 0; c < channels; ++c) {
        const float shift = per_channel(mean, c, 0.0f);
        const float scale = per_channel(deviation, c, 1.0f);
        for (size_t i = c; i < input.size(); i += channels) {
            input[i] = (input[i] - shift) / scale;
        }
    }
}

void Dataset::read(int64_t index, const std::optional<RandomDraw>& draw, const SampleSlot& slot) const {
    check_index(index);
    const RawSample sample = reading([&] { return load(index); });
    const int64_t height = sample.picture ? sample.picture->height() : sample.input.height;
    const int64_t width = sample.picture ? sample.picture->width() : sample.input.width;
    const int64_t channels = sample.picture ? sample.picture->channels() : sample.input.channels;
    Frame frame(height, width);
    std::optional<RandomStream> random;
    if (draw.has_value()) {
        random.emplace(RandomKey{.seed = draw->seed,
                                 .purpose = purpose::kTransform,
                                 .step = draw->epoch ^ (uint64_t{draw->repeat} << 32),
                                 .sample = static_cast<uint32_t>(index)});
    }
    for (const auto& transform : info_.transforms) {
        transform->place(frame, random ? &*random : nullptr);
    }
    std::vector<Frame> frames{frame};
    if (!info_.windows.empty()) {
        frames.assign(info_.windows.size(), frame);
        for (size_t i = 0; i < frames.size(); ++i) {
            info_.windows[i]->place(frames[i], nullptr);
        }
    }
    const int64_t rows = frames[0].height() * info_.views;
    const Shape& shape = info_.sample_shape;
    BACKLIGHT_CHECK(rows * frames[0].width() * channels == shape.numel() &&
                        (shape.rank() != 3 || (rows == shape[0] && frames[0].width() == shape[1])),
                    "dataset: sample ", index, " has shape (", rows, ", ", frames[0].width(), ", ", channels,
                    "), expected ", shape);
    // Views stand one above the other.
    const auto each = [&](std::span<float> out, const auto& show) {
        const size_t part = out.size() / frames.size();
        for (size_t i = 0; i < frames.size(); ++i) {
            show(frames[i], out.subspan(i * part, part));
        }
    };
    if (!slot.input.empty()) {
        const auto& [mean, deviation] = info_.normalization;
        if (sample.picture) {
            constexpr float kWhite = 255.0f;
            const PixelBlock pixels = reading(
                [&] { return sample.picture->decode(needed(frames.size() == 1 ? frames[0] : frame)); });
            each(slot.input, [&](const Frame& view, std::span<float> out) {
                render(pixels, view, {kWhite, mean, deviation}, out);
            });
        } else {
            each(slot.input, [&](const Frame& view, std::span<float> out) {
                render(sample.input, view, {1.0f, mean, deviation}, out);
            });
        }
    }
    const auto show = [&](const Image& plane, std::span<float> whole, std::string_view what) {
        if (!whole.empty()) {
            BACKLIGHT_CHECK(plane.height == height && plane.width == width, "dataset: the ", what,
                            " of sample ", index, " has (", plane.height, ", ", plane.width,
                            ") pixels, the input (", height, ", ", width, ")");
            each(whole, [&](const Frame& view, std::span<float> out) { render(plane, view, {}, out); });
        }
    };
    show(sample.mask, slot.mask, "mask");
    show(sample.decoy, slot.decoy, "decoy mask");
}

Batch Dataset::assemble(std::vector<int64_t> indices, const std::vector<float>& input,
                        const std::vector<float>& mask, const std::vector<float>& decoy) const {
    const auto with_batch = [n = static_cast<int64_t>(indices.size())](const Shape& shape) {
        Shape batched{n};
        for (const int64_t extent : shape) {
            batched.push_back(extent);
        }
        return batched;
    };
    Batch batch;
    if (info_.multi_label) {
        std::vector<float> targets, weights;
        for (const int64_t index : indices) {
            for (const Presence presence : this->presence(index)) {
                targets.push_back(presence == Presence::present ? 1.0f : 0.0f);
                weights.push_back(presence == Presence::ignored ? 0.0f : 1.0f);
            }
        }
        batch.target = Tensor::from(targets, with_batch({num_classes()}));
        batch.target_weight = Tensor::from(weights, with_batch({num_classes()}));
    } else {
        std::vector<int64_t> labels(indices.size());
        std::transform(indices.begin(), indices.end(), labels.begin(),
                       [this](int64_t i) { return label(i); });
        batch.label = Tensor::from(labels, {static_cast<int64_t>(indices.size())});
    }
    batch.input = Tensor::from(input, with_batch(info_.sample_shape));
    if (!mask.empty()) {
        batch.mask = Tensor::from(mask, with_batch(mask_shape()));
    }
    if (!decoy.empty()) {
        batch.decoy_mask = Tensor::from(decoy, with_batch(mask_shape()));
    }
    batch.indices = std::move(indices);
    return batch;
}

Batch Dataset::batch(std::span<const int64_t> indices, const std::optional<RandomDraw>& draw) const {
    const auto values = static_cast<size_t>(info_.sample_shape.numel());
    const auto plane = static_cast<size_t>(plane_size(info_.sample_shape));
    std::vector<float> input(indices.size() * values);
    std::vector<float> mask(info_.has_mask ? indices.size() * plane : 0);
    std::vector<float> decoy(info_.has_decoy ? indices.size() * plane : 0);
    for (size_t i = 0; i < indices.size(); ++i) {
        SampleSlot slot{.input = std::span(input).subspan(i * values, values), .mask = {}, .decoy = {}};
        if (info_.has_mask) {
            slot.mask = std::span(mask).subspan(i * plane, plane);
        }
        if (info_.has_decoy) {
            slot.decoy = std::span(decoy).subspan(i * plane, plane);
        }
        read(indices[i], draw, slot);
    }
    return assemble({indices.begin(), indices.end()}, input, mask, decoy);
}

Batch Dataset::all() const {
    std::vector<int64_t> indices(static_cast<size_t>(size()));
    std::iota(indices.begin(), indices.end(), int64_t{0});
    return batch(indices);
}

Example Dataset::get(int64_t index, const std::optional<RandomDraw>& draw) const {
    const Batch one = batch(std::span<const int64_t>(&index, 1), draw);
    const auto single = [](const Tensor& batched, const Shape& shape) {
        return batched.defined() ? batched.reshape(shape) : Tensor();
    };
    return {.input = one.input.reshape(info_.sample_shape),
            .label = info_.multi_label ? -1 : label(index),
            .target = single(one.target, {num_classes()}),
            .target_weight = single(one.target_weight, {num_classes()}),
            .mask = single(one.mask, mask_shape()),
            .decoy_mask = single(one.decoy_mask, mask_shape())};
}

std::vector<int64_t> Dataset::labels() const {
    std::vector<int64_t> all_labels(static_cast<size_t>(size()));
    for (size_t i = 0; i < all_labels.size(); ++i) {
        all_labels[i] = label(static_cast<int64_t>(i));
    }
    return all_labels;
}

std::vector<int64_t> Dataset::class_counts() const {
    std::vector<int64_t> counts;
    for (const std::vector<int64_t>& samples : samples_by_class()) {
        counts.push_back(static_cast<int64_t>(samples.size()));
    }
    return counts;
}

std::vector<std::vector<int64_t>> Dataset::samples_by_class() const {
    std::vector<std::vector<int64_t>> samples(info_.class_names.size());
    for (int64_t i = 0; i < size(); ++i) {
        if (!info_.multi_label) {
            samples[static_cast<size_t>(checked_label(i))].push_back(i);
            continue;
        }
        const std::vector<Presence> classes = presence(i);
        for (size_t k = 0; k < classes.size(); ++k) {
            if (classes[k] == Presence::present) {
                samples[k].push_back(i);
            }
        }
    }
    return samples;
}

void Dataset::set_transforms(std::vector<std::shared_ptr<const Transform>> transforms,
                             const Shape& sample_shape) {
    BACKLIGHT_CHECK(sample_shape.rank() == 3, "dataset: transforms work on images (H, W, C), got ",
                    sample_shape);
    info_.transforms = std::move(transforms);
    info_.sample_shape = sample_shape;
}

void Dataset::set_normalization(Normalization normalization) {
    check_channels(normalization.mean, info_.sample_shape[-1], "mean");
    check_channels(normalization.std, info_.sample_shape[-1], "std");
    for (const float value : normalization.std) {
        BACKLIGHT_CHECK(value > 0, "dataset: std expects positive values, got ", value);
    }
    info_.normalization = std::move(normalization);
}

void Dataset::set_raw_range(std::vector<float> low, std::vector<float> high) {
    check_channels(low, info_.sample_shape[-1], "low");
    check_channels(high, info_.sample_shape[-1], "high");
    info_.low = std::move(low);
    info_.high = std::move(high);
}

}  // namespace backlight
