// Segments of pictures and vectors.
#include "explain/segmentation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

int64_t count_of(const std::vector<int64_t>& ids) { return *std::max_element(ids.begin(), ids.end()) + 1; }

/// Pieces of equal id that are connected over edges.
int64_t pieces_of(const std::vector<int64_t>& ids, int64_t height, int64_t width) {
    std::vector<bool> seen(ids.size(), false);
    int64_t pieces = 0;
    for (size_t first = 0; first < ids.size(); ++first) {
        if (seen[first]) {
            continue;
        }
        ++pieces;
        std::vector<int64_t> open{static_cast<int64_t>(first)};
        seen[first] = true;
        while (!open.empty()) {
            const int64_t pixel = open.back();
            open.pop_back();
            const int64_t i = pixel / width, j = pixel % width;
            for (const auto& [a, b] :
                 std::vector<std::array<int64_t, 2>>{{i - 1, j}, {i + 1, j}, {i, j - 1}, {i, j + 1}}) {
                const auto next = static_cast<size_t>(a * width + b);
                if (a >= 0 && a < height && b >= 0 && b < width && !seen[next] && ids[next] == ids[first]) {
                    seen[next] = true;
                    open.push_back(static_cast<int64_t>(next));
                }
            }
        }
    }
    return pieces;
}

/// A red disc on blue, some noise on both.
Tensor disc(int64_t height, int64_t width, uint64_t seed) {
    RandomStream stream(seed);
    std::vector<double> values;
    for (int64_t i = 0; i < height; ++i) {
        for (int64_t j = 0; j < width; ++j) {
            const bool inside =
                std::hypot(i - height * 0.45, j - width * 0.55) < 0.3 * std::min(height, width);
            for (const double level : {inside ? 0.8 : 0.1, 0.2, inside ? 0.1 : 0.7}) {
                values.push_back(level + stream.uniform(-0.05, 0.05));
            }
        }
    }
    return Tensor::from(values, {height, width, 3});
}

bool inside_disc(int64_t i, int64_t j, int64_t height, int64_t width) {
    return std::hypot(i - height * 0.45, j - width * 0.55) < 0.3 * std::min(height, width);
}

SegmentOptions parsed(const std::string& text, const ExplainContext& context = {}) {
    const Options options(parse_spec(text));
    SegmentOptions segments(options, context);
    options.finish();
    return segments;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("segmentation: a grid of quarters, of single pixels, of thin pictures") {
        CHECK(grid_segments(4, 6, 4) ==
              std::vector<int64_t>{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 2, 2, 2, 3, 3, 3});
        CHECK(grid_segments(2, 2, 1000) == std::vector<int64_t>{0, 1, 2, 3});
        CHECK(count_of(grid_segments(1, 1000, 50)) == 50);
        CHECK(count_of(grid_segments(1000, 1, 50)) == 50);
        CHECK(count_of(grid_segments(224, 224, 50)) == 49);
        CHECK(grid_segments(5, 5, 1) == std::vector<int64_t>(25, 0));
        const auto uneven = grid_segments(7, 5, 6);
        CHECK(pieces_of(uneven, 7, 5) == count_of(uneven));
    }

    TEST_CASE("slic: connected segments, none tiny, about as many as asked for") {
        for (const auto& [height, width] :
             std::vector<std::array<int64_t, 2>>{{48, 64}, {33, 20}, {100, 30}}) {
            for (const int64_t wanted : {4, 20, 50}) {
                CAPTURE(height);
                CAPTURE(wanted);
                const auto ids = slic_segments(disc(height, width, 7), {.count = wanted});
                REQUIRE(ids.size() == static_cast<size_t>(height * width));
                const int64_t count = count_of(ids);
                CHECK(std::set<int64_t>(ids.begin(), ids.end()).size() == static_cast<size_t>(count));
                CHECK(pieces_of(ids, height, width) == count);
                CHECK(count >= wanted / 2);
                CHECK(count <= 2 * wanted);
                std::vector<int64_t> sizes(static_cast<size_t>(count), 0);
                for (const int64_t id : ids) {
                    ++sizes[static_cast<size_t>(id)];
                }
                const auto [rows, columns] = grid_cells(height, width, wanted);
                CHECK(*std::min_element(sizes.begin(), sizes.end()) >= height * width / (rows * columns) / 2);
            }
        }
    }

    TEST_CASE("slic: segments end where the colour does; great compactness gives cells") {
        const int64_t height = 48, width = 64;
        const Tensor picture = disc(height, width, 11);
        const auto mixed = [&](const std::vector<int64_t>& ids) {
            std::vector<std::array<int64_t, 2>> in_out(static_cast<size_t>(count_of(ids)), {0, 0});
            for (int64_t i = 0; i < height; ++i) {
                for (int64_t j = 0; j < width; ++j) {
                    const auto id = static_cast<size_t>(ids[static_cast<size_t>(i * width + j)]);
                    ++in_out[id][inside_disc(i, j, height, width) ? 0 : 1];
                }
            }
            int64_t wrong = 0;  // pixels on the other side than most of their segment
            for (const auto& [in, out] : in_out) {
                wrong += std::min(in, out);
            }
            return wrong;
        };
        // The noise hides the border by nothing: the colours are 80 apart in Lab.
        CHECK(mixed(slic_segments(picture, {.count = 50})) <= 10);
        CHECK(mixed(slic_segments(picture, {.count = 50, .compactness = 1e5})) > 100);
        // The scale of the values does not matter, nor does what is added to them.
        const NoGrad off;
        CHECK(slic_segments((Variable(picture) * 7.0 - 3.0).data(), {.count = 50}) ==
              slic_segments(picture, {.count = 50}));
    }

    TEST_CASE("slic: flat, tiny and one-channel pictures") {
        const auto flat = slic_segments(Tensor::full({20, 30, 3}, 0.5, DType::f64), {.count = 24});
        CHECK(count_of(flat) == 24);
        CHECK(pieces_of(flat, 20, 30) == 24);
        CHECK(slic_segments(Tensor::full({1, 1, 3}, 0.5), {}) == std::vector<int64_t>{0});
        std::vector<double> halves;
        for (int64_t i = 0; i < 100; ++i) {
            halves.push_back(i % 10 < 3 ? 1 : 0);
        }
        const auto two = slic_segments(Tensor::from(halves, {10, 10, 1}), {.count = 2});
        CHECK(count_of(two) == 2);
        for (size_t i = 0; i < 100; ++i) {
            CHECK((two[i] == two[0]) == (halves[i] == 1));
        }
        CHECK_THROWS_WITH_AS((void)slic_segments(Tensor::zeros({4, 4}), {}), doctest::Contains("(H,W,C)"),
                             Error);
        CHECK_THROWS_AS((void)slic_segments(Tensor::zeros({4, 4, 1}), {.count = 0}), Error);
    }

    TEST_CASE("segments from ids: any numbers, of all shapes that fit") {
        const Shape x{2, 2, 2, 3};
        const Segmentation one = segments_from(Tensor::from(std::vector<int64_t>{7, -1, 7, 30}, {2, 2}), x);
        CHECK(one.grain == Shape{2, 2, 1});
        CHECK(one.counts == std::vector<int64_t>{3, 3});
        CHECK(one.ids[1] == std::vector<int64_t>{1, 0, 1, 2});
        const Segmentation each =
            segments_from(Tensor::from(std::vector<int64_t>{0, 0, 0, 1, 5, 5, 5, 5}, {2, 2, 2}), x);
        CHECK(each.counts == std::vector<int64_t>{2, 1});
        const Segmentation channels = segments_from(
            Tensor::from(std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}, {2, 2, 3}), x);
        CHECK(channels.grain == Shape{2, 2, 3});
        CHECK(channels.counts == std::vector<int64_t>{3, 3});
        const Segmentation vectors = segments_from(Tensor::from({0.0, 0.0, 1.0}, {3}), {5, 3});
        CHECK(vectors.counts == std::vector<int64_t>(5, 2));
        CHECK(single_values(x).counts == std::vector<int64_t>{12, 12});
        CHECK_THROWS_WITH_AS((void)segments_from(Tensor::zeros({3, 2}), x), doctest::Contains("(H,W)"),
                             Error);
        CHECK_THROWS_WITH_AS((void)segments_from(Tensor::zeros({4}), {5, 3}), doctest::Contains("(D)"),
                             Error);
        CHECK_THROWS_WITH_AS((void)segments_from(Tensor::from({0.5, 0.0, 1.0}, {3}), {5, 3}),
                             doctest::Contains("whole numbers"), Error);
        CHECK_THROWS_WITH_AS((void)segments_from(Tensor::from({std::nan(""), 0.0, 1.0}, {3}), {5, 3}),
                             doctest::Contains("whole numbers"), Error);
    }

    TEST_CASE("segments by option: slic undoes the normalisation, vectors have their features") {
        const Tensor picture = disc(30, 40, 5).reshape({1, 30, 40, 3});
        const ExplainContext normalised{.mean = {0.4, 0.5, 0.6}, .std = {0.1, 0.2, 0.4}};
        const NoGrad off;
        const Variable mean(Tensor::from(normalised.mean, {3})), std(Tensor::from(normalised.std, {3}));
        const Tensor input = ((Variable(picture) - mean) / std).data();
        const Segmentation got = parsed("m(n_segments=20)", normalised).of(input);
        CHECK(got.ids[0] == slic_segments(picture.reshape({30, 40, 3}), {.count = 20}));
        CHECK(got.counts[0] == count_of(got.ids[0]));
        CHECK(parsed("m(segments=grid, n_segments=4)").of(input).counts[0] == 4);
        CHECK(parsed("m").of(Tensor::zeros({2, 5})).counts == std::vector<int64_t>{5, 5});
        CHECK_THROWS_WITH_AS((void)parsed("m(n_segments=3)").of(Tensor::zeros({2, 5})),
                             doctest::Contains("each feature"), Error);
        CHECK_THROWS_AS((void)parsed("m(segments=quickshift)"), Error);
        CHECK_THROWS_AS((void)parsed("m(n_segments=0)"), Error);
        CHECK_THROWS_AS((void)parsed("m(segments=grid, compactness=10)"), Error);
        CHECK_THROWS_AS((void)parsed("m(masks=nowhere.npy)"), Error);
    }

    TEST_CASE("segment means and painting") {
        const Tensor x = Tensor::from({1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 7.0, 70.0}, {1, 2, 2, 2});
        const Segmentation segments =
            segments_from(Tensor::from(std::vector<int64_t>{0, 1, 1, 1}, {2, 2}), x.shape());
        CHECK(segment_means(x, segments).to_vector<double>() ==
              std::vector<double>{1, 10, 5, 50, 5, 50, 5, 50});
        CHECK(paint(segments, {{2, 9}}, false, x).to_vector<double>() == std::vector<double>{2, 9, 9, 9});
        const Tensor shared = paint(segments, {{2, 9}}, true, x);
        CHECK(shared.shape() == Shape{1, 2, 2, 1});
        CHECK(shared.to_vector<double>() == std::vector<double>{2, 3, 3, 3});
        CHECK_THROWS_WITH_AS((void)segment_means(x, single_values(x.shape())),
                             doctest::Contains("its own mean"), Error);
    }
}
