#include "datasets/generators/builder.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace backlight {

RandomStream sample_stream(GeneratorId generator, uint64_t seed, SplitId split, int64_t sample) {
    return RandomStream(
        RandomKey{.seed = seed,
                  .purpose = purpose::kDataset,
                  .step = static_cast<uint64_t>(generator) << 32 | static_cast<uint64_t>(split),
                  .sample = static_cast<uint32_t>(sample)});
}

std::vector<int64_t> planned_labels(const std::vector<int64_t>& counts, RandomStream random) {
    std::vector<int64_t> labels;
    for (size_t c = 0; c < counts.size(); ++c) {
        labels.insert(labels.end(), static_cast<size_t>(counts[c]), static_cast<int64_t>(c));
    }
    random.shuffle(labels);
    return labels;
}

std::vector<int64_t> even_counts(int64_t n, int64_t classes) {
    std::vector<int64_t> counts;
    for (int64_t c = 0; c < classes; ++c) {
        counts.push_back(n / classes + (c < n % classes ? 1 : 0));
    }
    return counts;
}

std::vector<std::string> figure_names(int64_t n) {
    const std::vector<std::string> all{"square", "disk", "plus", "triangle", "hollow", "diamond"};
    return {all.begin(), all.begin() + n};
}

bool covers(Figure figure, int64_t size, int64_t row, int64_t column) {
    const double center = static_cast<double>(size - 1) / 2.0;
    const double radius = static_cast<double>(size) / 2.0;
    const double v = static_cast<double>(row) - center;
    const double u = static_cast<double>(column) - center;
    const int64_t arm = std::max<int64_t>(1, size / 4);
    const auto in_bar = [&](int64_t x) { return x >= size / 2 - arm && x < size / 2 + arm; };
    const auto in_hole = [&](int64_t x) { return x >= 2 && x < size - 2; };
    switch (figure) {
        case Figure::square:
            return true;
        case Figure::disk:
            return u * u + v * v <= radius * radius;
        case Figure::plus:
            return in_bar(row) || in_bar(column);
        case Figure::triangle:
            return column <= row;
        case Figure::hollow:
            return !(in_hole(row) && in_hole(column));
        case Figure::diamond:
            return std::abs(u) + std::abs(v) <= radius;
    }
    return false;
}

void fill_block(Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                std::span<const float> colour) {
    for (int64_t row = top; row < top + height; ++row) {
        for (int64_t column = left; column < left + width; ++column) {
            for (int64_t c = 0; c < image.channels; ++c) {
                image.at(row, column, c) = colour[static_cast<size_t>(c)];
            }
        }
    }
}

void fill_block(Image& image, int64_t top, int64_t left, int64_t height, int64_t width, float value) {
    const std::vector<float> colour(static_cast<size_t>(image.channels), value);
    fill_block(image, top, left, height, width, colour);
}

void add_noise(Image& image, float deviation, RandomStream& random) {
    std::vector<float> noise(image.values.size());
    random.fill_normal(noise, 0.0f, deviation);
    for (size_t i = 0; i < noise.size(); ++i) {
        image.values[i] += noise[i];
    }
}

void clip(Image& image, float low, float high) {
    for (float& value : image.values) {
        value = std::clamp(value, low, high);
    }
}

void Builder::add(const Image& input, int64_t label, const Image& mask, const Image& decoy) {
    shape_ = {input.height, input.width, input.channels};
    values_.insert(values_.end(), input.values.begin(), input.values.end());
    masks_.insert(masks_.end(), mask.values.begin(), mask.values.end());
    decoys_.insert(decoys_.end(), decoy.values.begin(), decoy.values.end());
    labels_.push_back(label);
}

std::shared_ptr<InMemoryDataset> Builder::finish() {
    auto set =
        std::make_shared<InMemoryDataset>(shape_, std::move(values_), std::move(labels_), class_names_);
    if (!masks_.empty()) {
        set->set_masks(std::move(masks_));
    }
    if (!decoys_.empty()) {
        set->set_decoy_masks(std::move(decoys_));
    }
    for (auto& [name, values] : columns_) {
        set->set_column(name, std::move(values));
    }
    return set;
}

void share_measured_range(std::span<const std::shared_ptr<InMemoryDataset>> sets) {
    InputRange widest;
    for (const auto& set : sets) {
        set->measure_range();
        const InputRange range = set->input_range();
        if (widest.low.empty()) {
            widest = range;
        }
        for (size_t c = 0; c < widest.low.size(); ++c) {
            widest.low[c] = std::min(widest.low[c], range.low[c]);
            widest.high[c] = std::max(widest.high[c], range.high[c]);
        }
    }
    for (const auto& set : sets) {
        set->set_raw_range(widest.low, widest.high);
    }
}

}  // namespace backlight
