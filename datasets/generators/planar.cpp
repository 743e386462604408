// moons, circles, spirals: point clouds in the plane, classes of equal size in random order.
//   moons    y=0: (cos t, sin t);  y=1: (1 - cos t, 1/2 - sin t);  t ~ U(0, pi);   plus N(0, noise^2 I)
//   circles  radius 1 (y=0) or 0.3 (y=1), angle uniform;                           plus N(0, noise^2 I)
//   spirals  four classes: r ~ U(0, 1), angle a = 4 y + 4 r + noise N(0, 1), point (r sin a, r cos a)
#include <array>
#include <cmath>
#include <numbers>

#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

using Point = std::array<double, 2>;

Point moon(int64_t label, double noise, RandomStream& random) {
    const double t = random.uniform(0.0, std::numbers::pi);
    const double x = label == 0 ? std::cos(t) : 1.0 - std::cos(t);
    const double y = label == 0 ? std::sin(t) : 0.5 - std::sin(t);
    const double dx = random.normal(0.0, noise);
    return {x + dx, y + random.normal(0.0, noise)};
}

Point circle(int64_t label, double noise, RandomStream& random) {
    const double radius = label == 0 ? 1.0 : 0.3;
    const double angle = random.uniform(0.0, 2.0 * std::numbers::pi);
    const double dx = random.normal(0.0, noise);
    return {radius * std::cos(angle) + dx, radius * std::sin(angle) + random.normal(0.0, noise)};
}

Point spiral(int64_t label, double noise, RandomStream& random) {
    const double r = random.uniform();
    const double angle = 4.0 * static_cast<double>(label) + 4.0 * r + random.normal(0.0, noise);
    return {r * std::sin(angle), r * std::cos(angle)};
}

using Draw = Point (*)(int64_t label, double noise, RandomStream& random);

std::shared_ptr<InMemoryDataset> generate(GeneratorId id, Draw draw, uint64_t seed, SplitId split, int64_t n,
                                          int64_t classes, double noise) {
    std::vector<int64_t> labels = planned_labels(even_counts(n, classes), sample_stream(id, seed, split, -1));
    std::vector<float> values;
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(id, seed, split, i);
        const Point point = draw(labels[static_cast<size_t>(i)], noise, random);
        values.insert(values.end(), {static_cast<float>(point[0]), static_cast<float>(point[1])});
    }
    return std::make_shared<InMemoryDataset>(Shape{2}, std::move(values), std::move(labels),
                                             numbered_classes(classes));
}

Source load_planar(const Options& options, GeneratorId id, Draw draw, int64_t default_n, int64_t classes,
                   double default_noise) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", default_n, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", default_n, 1, 10'000'000);
    const double noise = options.get_within("noise", default_noise, 0.0, 10.0);
    options.finish();
    const std::array sets{generate(id, draw, seed, SplitId::train, n, classes, noise),
                          generate(id, draw, seed, SplitId::test, n_test, classes, noise)};
    share_measured_range(sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    return source;
}

}  // namespace

Source load_moons(const std::string&, const Options& options) {
    return load_planar(options, GeneratorId::moons, moon, 1000, 2, 0.1);
}

Source load_circles(const std::string&, const Options& options) {
    return load_planar(options, GeneratorId::circles, circle, 1000, 2, 0.1);
}

Source load_spirals(const std::string&, const Options& options) {
    return load_planar(options, GeneratorId::spirals, spiral, 2000, 4, 0.2);
}

}  // namespace backlight
