// zoom32: classes that differ in a detail which half the resolution cannot show, 32x32x3, background 0.25.
//   six 4x4 blocks of clutter, colour U(0.1, 0.6)^3, corners uniform in 0..27; over them a 10x10 block of
//   colour 0.35 + 0.45 COLOUR[k / 2], corner uniform in 0..21, whose inner 4x4 (3 pixels in) has stripes one
//   pixel wide of 0.1 and 0.9: columns for even k, rows for odd k; noise N(0, noise^2); clipped to [0, 1].
// Averaged over 2x2 pixels, both kinds of stripes are 0.5 everywhere.
// Mask: the 10x10 block. Columns "row" and "column": its corner.
#include <array>

#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 32, kClasses = 6, kBlock = 10, kInner = 4, kMargin = 3;

std::shared_ptr<InMemoryDataset> generate(uint64_t seed, SplitId split, int64_t n, float noise) {
    Builder builder({"red columns", "red rows", "green columns", "green rows", "blue columns", "blue rows"});
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(GeneratorId::zoom32, seed, split, i);
        const int64_t label = random.below(kClasses);
        Image image(kSide, kSide, 3, 0.25f);
        for (int clutter = 0; clutter < 6; ++clutter) {
            const int64_t top = random.between(0, 27);
            const int64_t left = random.between(0, 27);
            std::array<float, 3> colour{};
            random.fill_uniform(colour, 0.1f, 0.6f);
            fill_block(image, top, left, 4, 4, colour);
        }
        const int64_t top = random.between(0, 21);
        const int64_t left = random.between(0, 21);
        std::array<float, 3> colour{};
        for (size_t c = 0; c < colour.size(); ++c) {
            colour[c] = 0.35f + 0.45f * kColours[label / 2][c];
        }
        fill_block(image, top, left, kBlock, kBlock, colour);
        for (int64_t row = 0; row < kInner; ++row) {
            for (int64_t column = 0; column < kInner; ++column) {
                const int64_t stripe = label % 2 == 0 ? column : row;
                fill_block(image, top + kMargin + row, left + kMargin + column, 1, 1,
                           stripe % 2 == 0 ? 0.1f : 0.9f);
            }
        }
        add_noise(image, noise, random);
        clip(image);
        Image mask(kSide, kSide, 1);
        fill_block(mask, top, left, kBlock, kBlock, 1.0f);
        builder.add(image, label, mask);
        builder.note("row", top);
        builder.note("column", left);
    }
    return builder.finish();
}

}  // namespace

Source load_zoom32(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", 2000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 600, 1, 10'000'000);
    const auto noise = static_cast<float>(options.get_within("noise", 0.08, 0.0, 10.0));
    options.finish();
    auto source = std::make_unique<DataSource>();
    source->train = generate(seed, SplitId::train, n, noise);
    source->test = generate(seed, SplitId::test, n_test, noise);
    return source;
}

}  // namespace backlight
