// toy_colours: two rules that separate the classes equally well, 5x5x3, each pixel one of four colours.
//   class 0  the four corners have one colour, and the three pixels in the middle of the top row differ
//            pairwise
//   class 1  neither holds
// All else is uniform. Mask: the top middle. Decoy mask: the corners. Either may be called the wrong reason.
// Source: Ross et al., "Right for the right reasons", IJCAI 2017.
#include <array>

#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 5, kColourCount = 4;
constexpr int64_t kLast = kSide - 1;
constexpr float kPalette[kColourCount][3] = {
    {1.0f, 0.0f, 0.0f}, {0.0f, 1.0f, 0.0f}, {0.0f, 128.0f / 255.0f, 1.0f}, {128.0f / 255.0f, 0.0f, 1.0f}};

using Grid = std::array<std::array<int64_t, kSide>, kSide>;

void make_class0(Grid& grid, RandomStream& random) {
    grid[0][0] = grid[0][kLast] = grid[kLast][0] = grid[kLast][kLast] = random.below(kColourCount);
    auto& top = grid[0];
    while (top[1] == top[2] || top[1] == top[3] || top[2] == top[3]) {
        top[static_cast<size_t>(random.between(1, 3))] = random.below(kColourCount);
    }
}

void make_class1(Grid& grid, RandomStream& random) {
    if (random.bernoulli(0.5)) {
        do {
            grid[0][kLast] = random.below(kColourCount);
        } while (grid[0][kLast] == grid[kLast][0]);
    } else {
        do {
            grid[0][0] = random.below(kColourCount);
        } while (grid[0][0] == grid[kLast][kLast]);
    }
    auto& top = grid[0];
    while (top[1] != top[2] && top[1] != top[3] && top[2] != top[3]) {
        top[static_cast<size_t>(random.between(1, 3))] = random.below(kColourCount);
    }
}

std::shared_ptr<InMemoryDataset> generate(uint64_t seed, SplitId split, int64_t n) {
    Builder builder({"equal corners", "unequal corners"});
    Image top_middle(kSide, kSide, 1), corners(kSide, kSide, 1);
    fill_block(top_middle, 0, 1, 1, 3, 1.0f);
    for (const int64_t row : {int64_t{0}, kLast}) {
        corners.at(row, 0) = corners.at(row, kLast) = 1.0f;
    }
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(GeneratorId::toy_colours, seed, split, i);
        const int64_t label = random.below(2);
        Grid grid{};
        for (auto& row : grid) {
            for (int64_t& cell : row) {
                cell = random.below(kColourCount);
            }
        }
        label == 0 ? make_class0(grid, random) : make_class1(grid, random);
        Image image(kSide, kSide, 3);
        for (int64_t row = 0; row < kSide; ++row) {
            for (int64_t column = 0; column < kSide; ++column) {
                fill_block(image, row, column, 1, 1,
                           kPalette[grid[static_cast<size_t>(row)][static_cast<size_t>(column)]]);
            }
        }
        builder.add(image, label, top_middle, corners);
    }
    return builder.finish();
}

}  // namespace

Source load_toy_colours(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", 4000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 2000, 1, 10'000'000);
    options.finish();
    auto source = std::make_unique<DataSource>();
    source->train = generate(seed, SplitId::train, n);
    source->test = generate(seed, SplitId::test, n_test);
    return source;
}

}  // namespace backlight
