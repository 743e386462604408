#include "datasets/generators/stamp.h"

#include <array>
#include <numeric>

#include "core/error.h"
#include "datasets/generators/builder.h"

namespace backlight {

std::shared_ptr<InMemoryDataset> stamp(const Dataset& set, std::span<const int64_t> indices) {
    constexpr int64_t kSide = 3;
    constexpr std::array<float, 3> kYellow{1.0f, 1.0f, 0.0f};
    const Shape& shape = set.sample_shape();
    BACKLIGHT_CHECK(shape.rank() == 3 && shape[0] >= kSide && shape[1] >= kSide && shape[2] <= 3,
                    "stamp: expected images of at least 3x3 with up to 3 channels, got ", shape);
    BACKLIGHT_CHECK(set.normalization().mean.empty() && set.normalization().std.empty(),
                    "stamp: expected a set without normalisation");
    std::vector<int64_t> stamped(static_cast<size_t>(set.size()), 0);
    for (const int64_t index : indices) {
        BACKLIGHT_CHECK(index >= 0 && index < set.size(), "stamp: index ", index, " is not in 0..",
                        set.size() - 1);
        stamped[static_cast<size_t>(index)] = 1;
    }
    Image place(shape[0], shape[1], 1);
    fill_block(place, 0, 0, kSide, kSide, 1.0f);

    Builder builder(set.class_names());
    for (int64_t i = 0; i < set.size(); ++i) {
        RawSample sample = set.load(i);
        if (stamped[static_cast<size_t>(i)] != 0) {
            fill_block(sample.input, 0, 0, kSide, kSide, kYellow);
        }
        builder.add(sample.input, set.label(i), sample.mask, place);
    }
    auto copy = builder.finish();
    for (const std::string& name : set.column_names()) {
        copy->set_column(name, set.column(name));
    }
    copy->set_column("stamped", std::move(stamped));
    return copy;
}

std::shared_ptr<InMemoryDataset> stamp_all(const Dataset& set) {
    std::vector<int64_t> indices(static_cast<size_t>(set.size()));
    std::iota(indices.begin(), indices.end(), int64_t{0});
    return stamp(set, indices);
}

}  // namespace backlight
