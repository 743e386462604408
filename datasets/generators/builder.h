// What the generators of image sets share: random numbers keyed by (seed, generator, split, sample), figures,
// and the collection of samples into a data set. A longer set begins with the shorter one of the same seed,
// unless class counts are prescribed.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/random.h"
#include "datasets/in_memory.h"

namespace backlight {

/// One number a generator, so that two of them draw nothing in common from one seed.
enum class GeneratorId : uint64_t {
    toy1 = 1,
    toy2,
    toy3,
    moons,
    circles,
    spirals,
    shapes16,
    context16,
    zoom32,
    fewshot16,
    shapes12,
    toy_colours,
    regions,
};

/// The part of a data set that a sample belongs to; splits of one seed are independent.
enum class SplitId : uint64_t { train = 0, test, fresh };

/// The random numbers of one sample; sample -1 stands for what the whole split shares.
[[nodiscard]] RandomStream sample_stream(GeneratorId generator, uint64_t seed, SplitId split, int64_t sample);

/// Labels in random order with the given number of each class.
[[nodiscard]] std::vector<int64_t> planned_labels(const std::vector<int64_t>& counts, RandomStream random);
/// n over `classes` as evenly as possible: the first n mod classes get one more.
[[nodiscard]] std::vector<int64_t> even_counts(int64_t n, int64_t classes);

/// Red, green, blue, yellow, magenta, cyan, each softened to 0.2..1.
inline constexpr float kColours[6][3] = {{1.0f, 0.2f, 0.2f}, {0.2f, 1.0f, 0.2f}, {0.2f, 0.2f, 1.0f},
                                         {1.0f, 1.0f, 0.2f}, {1.0f, 0.2f, 1.0f}, {0.2f, 1.0f, 1.0f}};

enum class Figure : uint8_t { square, disk, plus, triangle, hollow, diamond };
inline constexpr int64_t kFigures = 6;
[[nodiscard]] std::vector<std::string> figure_names(int64_t n);
/// Whether cell (row, column) of a size x size box belongs to the figure.
[[nodiscard]] bool covers(Figure figure, int64_t size, int64_t row, int64_t column);

/// Fills a rectangle of all channels, or of the one.
void fill_block(Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                std::span<const float> colour);
void fill_block(Image& image, int64_t top, int64_t left, int64_t height, int64_t width, float value);
void add_noise(Image& image, float deviation, RandomStream& random);
void clip(Image& image, float low = 0.0f, float high = 1.0f);

/// Collects samples.
class Builder {
public:
    explicit Builder(std::vector<std::string> class_names) : class_names_(std::move(class_names)) {}
    /// Masks may be empty, but then all are.
    void add(const Image& input, int64_t label, const Image& mask = {}, const Image& decoy = {});
    /// A fact of the sample added last.
    void note(const std::string& column, int64_t value) { columns_[column].push_back(value); }
    /// Images (H, W, C). The range before normalisation is [0, 1].
    [[nodiscard]] std::shared_ptr<InMemoryDataset> finish();

private:
    std::vector<std::string> class_names_;
    Shape shape_;
    std::vector<float> values_, masks_, decoys_;
    std::vector<int64_t> labels_;
    std::map<std::string, std::vector<int64_t>> columns_;
};

/// Sets the input range of every set, none of them normalised yet, to what the values of all of them span.
void share_measured_range(std::span<const std::shared_ptr<InMemoryDataset>> sets);

}  // namespace backlight
