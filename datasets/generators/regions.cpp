// regions: a target pattern and a misleading context pattern in two cells of a 4x4 grid, 16x16x1.
//   noise N(0, sigma^2); the 3x3 target pattern y, amplitude 1, in a random cell of 4x4 pixels; the 3x3
//   context pattern 4 + c, amplitude 1.5, in another; each 0 or 1 pixels from its cell's corner, by row and
//   by column.
// c = y with probability rho in training ("in_distribution"), else uniform. The test set ("shifted"): rho 0.
// Mask: the attention of a person, a Gaussian of deviation 1.5 and height 1 around the target's centre.
// Decoy mask: the 3x3 block of the context.
// Columns "target_cell" and "context_cell" (counted row by row) and "context" (c).
#include <array>
#include <cmath>

#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 16, kClasses = 4, kCell = 4, kPattern = 3, kCells = 16;
constexpr std::array<std::string_view, 2 * kClasses> kPatterns{
    "010111010", "101010101", "111101111", "111010010", "100100111", "001010100", "110010011", "101101101"};

struct Place {
    int64_t cell, top, left;
};

Place place_in(int64_t cell, RandomStream& random) {
    const int64_t top = cell / 4 * kCell + random.below(2);
    return {cell, top, cell % 4 * kCell + random.below(2)};
}

void add_pattern(Image& image, int64_t pattern, const Place& place, float amplitude) {
    for (int64_t i = 0; i < kPattern * kPattern; ++i) {
        if (kPatterns[static_cast<size_t>(pattern)][static_cast<size_t>(i)] == '1') {
            image.at(place.top + i / kPattern, place.left + i % kPattern) += amplitude;
        }
    }
}

Image attention(const Place& target) {
    constexpr double kDeviation = 1.5;
    Image map(kSide, kSide, 1);
    for (int64_t row = 0; row < kSide; ++row) {
        for (int64_t column = 0; column < kSide; ++column) {
            const auto v = static_cast<double>(row - target.top - 1);
            const auto u = static_cast<double>(column - target.left - 1);
            map.at(row, column) =
                static_cast<float>(std::exp(-(u * u + v * v) / (2 * kDeviation * kDeviation)));
        }
    }
    return map;
}

std::shared_ptr<InMemoryDataset> generate(uint64_t seed, SplitId split, int64_t n, double rho, float sigma) {
    Builder builder({"plus", "cross", "ring", "T"});
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(GeneratorId::regions, seed, split, i);
        const int64_t label = random.below(kClasses);
        const bool tells = random.bernoulli(rho);
        const int64_t uniform_context = random.below(kClasses);
        const int64_t context = tells ? label : uniform_context;
        const std::vector<int64_t> cells = random.sample(kCells, 2);
        const Place target = place_in(cells[0], random);
        const Place other = place_in(cells[1], random);

        Image image(kSide, kSide, 1);
        Image decoy(kSide, kSide, 1);
        add_noise(image, sigma, random);
        add_pattern(image, label, target, 1.0f);
        add_pattern(image, kClasses + context, other, 1.5f);
        fill_block(decoy, other.top, other.left, kPattern, kPattern, 1.0f);
        builder.add(image, label, attention(target), decoy);
        builder.note("target_cell", target.cell);
        builder.note("context_cell", other.cell);
        builder.note("context", context);
    }
    return builder.finish();
}

}  // namespace

Source load_regions(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", 1500, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 1000, 1, 10'000'000);
    const double rho = options.get_within("rho", 0.9, 0.0, 1.0);
    const auto sigma = static_cast<float>(options.get_within("sigma", 0.15, 0.0, 10.0));
    options.finish();
    const std::array sets{generate(seed, SplitId::train, n, rho, sigma),
                          generate(seed, SplitId::test, n_test, 0, sigma),
                          generate(seed, SplitId::test, n_test, rho, sigma)};
    share_measured_range(sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    source->extra = {{"shifted", sets[1]}, {"in_distribution", sets[2]}};
    return source;
}

}  // namespace backlight
