// context16: grey figures whose surroundings give the class away, 16x16x3, background 0.25.
//   figure k of 4 (square, disk, plus, triangle), size 6..8, grey U(0.45, 0.9), at the left or the right
//   border (0 or 1 pixels away) by a coin, row uniform; at the opposite border a 4x4 block of colour c, row
//   uniform; c = label with probability rho, else uniform; noise N(0, noise^2); clipped to [0, 1].
// The test set has the training set's rho ("in_distribution" is another name for it), "shifted" has rho = 0.
// Mask: the figure's pixels. Decoy mask: the block. Columns "context" (c) and "size".
#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 16, kClasses = 4, kBlock = 4;

std::shared_ptr<InMemoryDataset> generate(uint64_t seed, SplitId split, int64_t n, double rho, float noise) {
    Builder builder(figure_names(kClasses));
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(GeneratorId::context16, seed, split, i);
        const int64_t label = random.below(kClasses);
        const int64_t size = random.between(6, 8);
        const auto grey = static_cast<float>(random.uniform(0.45, 0.9));
        const bool at_left = random.bernoulli(0.5);
        const int64_t gap = random.below(2);
        const int64_t left = at_left ? gap : kSide - size - gap;
        const int64_t top = random.between(0, kSide - size);
        const int64_t block_top = random.between(0, kSide - kBlock);
        const int64_t block_left = at_left ? kSide - kBlock : 0;
        const bool tells = random.bernoulli(rho);
        const int64_t uniform_context = random.below(kClasses);
        const int64_t context = tells ? label : uniform_context;

        Image image(kSide, kSide, 3, 0.25f);
        Image mask(kSide, kSide, 1), decoy(kSide, kSide, 1);
        for (int64_t row = 0; row < size; ++row) {
            for (int64_t column = 0; column < size; ++column) {
                if (covers(static_cast<Figure>(label), size, row, column)) {
                    fill_block(image, top + row, left + column, 1, 1, grey);
                    mask.at(top + row, left + column) = 1.0f;
                }
            }
        }
        fill_block(image, block_top, block_left, kBlock, kBlock, kColours[context]);
        fill_block(decoy, block_top, block_left, kBlock, kBlock, 1.0f);
        add_noise(image, noise, random);
        clip(image);
        builder.add(image, label, mask, decoy);
        builder.note("context", context);
        builder.note("size", size);
    }
    return builder.finish();
}

}  // namespace

Source load_context16(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", 2000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 800, 1, 10'000'000);
    const double rho = options.get_within("rho", 0.97, 0.0, 1.0);
    const auto noise = static_cast<float>(options.get_within("noise", 0.12, 0.0, 10.0));
    options.finish();
    auto source = std::make_unique<DataSource>();
    source->train = generate(seed, SplitId::train, n, rho, noise);
    source->test = generate(seed, SplitId::test, n_test, rho, noise);
    source->extra["in_distribution"] = source->test;
    source->extra["shifted"] = generate(seed, SplitId::test, n_test, 0.0, noise);
    return source;
}

}  // namespace backlight
