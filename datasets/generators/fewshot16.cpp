// fewshot16: 18 classes = 6 figures x 3 fills on 16x16x3, 12 to train on and 6 new ones to test on.
//   size 7..9 at a uniform place, grey foreground U(0.6, 0.95), background 0.2; fills: plain, row stripes,
//   column stripes (every second line times 0.35); noise N(0, noise^2); clipped to [0, 1].
// A fixed permutation, the same for every seed, makes classes 0..11 the base and 12..17 the novel ones.
// "shifted" holds novel classes in another domain: image -> (1 - image) (1, 0.8, 0.6) before the noise.
// Every class has the same number of samples, class after class. Mask: the figure's pixels.
#include <array>

#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 16, kFills = 3, kClasses = kFigures * kFills, kBase = 12;

/// class -> figure * 3 + fill
std::vector<int64_t> class_order() {
    constexpr uint64_t kFixedSeed = 18;
    return sample_stream(GeneratorId::fewshot16, kFixedSeed, SplitId::fresh, -1).permutation(kClasses);
}

std::vector<std::string> names() {
    constexpr std::array<const char*, kFills> kFillNames{"plain ", "row-striped ", "column-striped "};
    const std::vector<std::string> figures = figure_names(kFigures);
    std::vector<std::string> all;
    for (const int64_t code : class_order()) {
        all.push_back(kFillNames[static_cast<size_t>(code % kFills)] +
                      figures[static_cast<size_t>(code / kFills)]);
    }
    return all;
}

std::shared_ptr<InMemoryDataset> generate(uint64_t seed, SplitId split, int64_t first_class,
                                          int64_t last_class, int64_t per_class, float noise, bool shifted) {
    constexpr std::array<float, 3> kTint{1.0f, 0.8f, 0.6f};
    const std::vector<int64_t> order = class_order();
    Builder builder(names());
    for (int64_t i = 0; i < (last_class - first_class) * per_class; ++i) {
        RandomStream random = sample_stream(GeneratorId::fewshot16, seed, split, i);
        const int64_t label = first_class + i / per_class;
        const int64_t code = order[static_cast<size_t>(label)];
        const int64_t fill = code % kFills;
        const int64_t size = random.between(7, 9);
        const int64_t top = random.between(0, kSide - size);
        const int64_t left = random.between(0, kSide - size);
        const auto grey = static_cast<float>(random.uniform(0.6, 0.95));

        Image image(kSide, kSide, 3, 0.2f);
        Image mask(kSide, kSide, 1);
        for (int64_t row = 0; row < size; ++row) {
            for (int64_t column = 0; column < size; ++column) {
                if (covers(static_cast<Figure>(code / kFills), size, row, column)) {
                    const bool dark = (fill == 1 && row % 2 == 1) || (fill == 2 && column % 2 == 1);
                    fill_block(image, top + row, left + column, 1, 1, dark ? 0.35f * grey : grey);
                    mask.at(top + row, left + column) = 1.0f;
                }
            }
        }
        if (shifted) {
            for (size_t k = 0; k < image.values.size(); ++k) {
                image.values[k] = (1.0f - image.values[k]) * kTint[k % 3];
            }
        }
        add_noise(image, noise, random);
        clip(image);
        builder.add(image, label, mask);
        builder.note("figure", code / kFills);
        builder.note("fill", fill);
    }
    return builder.finish();
}

}  // namespace

Source load_fewshot16(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t per_class = options.get_within("per_class", 60, 1, 100'000);
    const int64_t novel = options.get_within("novel_per_class", 40, 1, 100'000);
    const auto noise = static_cast<float>(options.get_within("noise", 0.1, 0.0, 10.0));
    options.finish();
    auto source = std::make_unique<DataSource>();
    source->train = generate(seed, SplitId::train, 0, kBase, per_class, noise, false);
    source->test = generate(seed, SplitId::test, kBase, kClasses, novel, noise, false);
    source->extra["shifted"] = generate(seed, SplitId::fresh, kBase, kClasses, novel, noise, true);
    return source;
}

}  // namespace backlight
