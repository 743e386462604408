// What stands in for removed values.
#include "explain/fill.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

std::vector<double> values_of(const Tensor& x, const Fill& fill, const ExplainContext& context = {},
                              const std::vector<int64_t>& numbers = {}) {
    const Tensor y = filled(x, fill, context, numbers);
    CHECK(y.shape() == x.shape());
    CHECK(y.dtype() == x.dtype());
    return y.to(DType::f64).to_vector<double>();
}

Fill parsed(const std::string& text) {
    const Options options(parse_spec(text));
    const Fill fill = read_fill(options);
    options.finish();
    return fill;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("fill: zero, black, mean and min, by channel and by sample") {
        const Tensor x = Tensor::from({1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 7.0, 70.0}, {2, 1, 2, 2});
        CHECK(values_of(x, {.kind = "zero"}) == std::vector<double>(8, 0.0));
        CHECK(values_of(x, {.kind = "mean"}) == std::vector<double>{2, 20, 2, 20, 6, 60, 6, 60});
        CHECK(values_of(x, {.kind = "min"}) == std::vector<double>{1, 1, 1, 1, 5, 5, 5, 5});
        CHECK(values_of(x, {.kind = "black"}, {.mean = {0.5, 0.25}, .std = {0.25, 0.5}}) ==
              std::vector<double>{-2, -0.5, -2, -0.5, -2, -0.5, -2, -0.5});
        CHECK(values_of(x, {.kind = "black"}, {.mean = {0.5}}) == std::vector<double>(8, -0.5));
        CHECK(values_of(x, {.kind = "black"}) == std::vector<double>(8, 0.0));
        const Tensor rows = Tensor::from({1.0F, 2.0F, 6.0F, 0.0F, 1.0F, -1.0F}, {2, 3});
        CHECK(values_of(rows, {.kind = "mean"}) == std::vector<double>{3, 3, 3, 0, 0, 0});
    }

    TEST_CASE("fill: the blur is the Gaussian mean of what lies inside the picture") {
        const Tensor x = random_tensor({2, 6, 5, 2}, 3);
        const auto in = x.to_vector<double>();
        const Fill fill{.kind = "blur", .kernel = 5, .sigma = 1.3};
        const auto got = values_of(x, fill);
        const auto at = [](int64_t n, int64_t i, int64_t j, int64_t c) {
            return static_cast<size_t>(((n * 6 + i) * 5 + j) * 2 + c);
        };
        for (const auto& [n, i, j, c] :
             std::vector<std::array<int64_t, 4>>{{0, 0, 0, 0}, {0, 3, 2, 1}, {1, 5, 4, 0}, {1, 2, 0, 1}}) {
            double sum = 0, weights = 0;
            for (int64_t a = std::max<int64_t>(0, i - 2); a <= std::min<int64_t>(5, i + 2); ++a) {
                for (int64_t b = std::max<int64_t>(0, j - 2); b <= std::min<int64_t>(4, j + 2); ++b) {
                    const auto squares = static_cast<double>((a - i) * (a - i) + (b - j) * (b - j));
                    const double weight = std::exp(-squares / (2 * 1.3 * 1.3));
                    sum += weight * in[at(n, a, b, c)];
                    weights += weight;
                }
            }
            CHECK(got[at(n, i, j, c)] == doctest::Approx(sum / weights).epsilon(1e-12));
        }
        const Tensor flat = Tensor::full({1, 7, 9, 3}, 0.75, DType::f64);
        CHECK(difference(filled(flat, {.kind = "blur"}, {}), flat) < 1e-12);
    }

    TEST_CASE(
        "fill: noise lies in the range of its channel and belongs to seed and sample, not to the batch") {
        const Tensor x = Tensor::zeros({3, 8, 8, 2}, DType::f64);
        ExplainContext context{.low = {-1, 10}, .high = {1, 12}, .seed = 5};
        const Fill noise{.kind = "noise"};
        const auto got = values_of(x, noise, context);
        double sum = 0;
        for (size_t i = 0; i < got.size(); ++i) {
            const bool second = i % 2 == 1;
            CHECK(got[i] >= (second ? 10 : -1));
            CHECK(got[i] < (second ? 12 : 1));
            sum += got[i];
        }
        CHECK(sum / 384 == doctest::Approx(5.5).epsilon(0.02));
        const std::vector<double> third(got.begin() + 256, got.end());
        const Tensor one = Tensor::zeros({1, 8, 8, 2}, DType::f64);
        CHECK(values_of(one, noise, context, {2}) == third);
        CHECK(values_of(one, noise, context) != third);
        context.seed = 6;
        CHECK(values_of(x, noise, context) != got);
    }

    TEST_CASE("fill: options, names and errors") {
        CHECK(text_of(parsed("m")) == "zero");
        CHECK(text_of(parsed("m(fill=blur)")) == "blur");
        CHECK(text_of(parsed("m(fill=blur, kernel=5)")) == "blur(kernel=5, sigma=5)");
        CHECK_THROWS_WITH_AS((void)parsed("m(fill=grey)"), doctest::Contains("zero"), Error);
        CHECK_THROWS_WITH_AS((void)parsed("m(fill=blur, kernel=4)"), doctest::Contains("odd"), Error);
        CHECK_THROWS_AS((void)parsed("m(fill=blur, sigma=0)"), Error);
        CHECK_THROWS_AS((void)parsed("m(fill=zero, sigma=2)"), Error);  // it has none
        const Tensor x = Tensor::zeros({1, 2, 2, 3}, DType::f64);
        CHECK_THROWS_WITH_AS((void)filled(x, {.kind = "grey"}, {}), doctest::Contains("unknown fill"), Error);
        CHECK_THROWS_WITH_AS((void)filled(x, {.kind = "blur", .kernel = 4}, {}),
                             doctest::Contains("odd kernel"), Error);
        CHECK_THROWS_WITH_AS((void)filled(x, {.kind = "noise"}, {}), doctest::Contains("input range"), Error);
        CHECK_THROWS_WITH_AS((void)filled(x, {.kind = "black"}, {.mean = {0.5, 0.5}}),
                             doctest::Contains("3 channels"), Error);
        CHECK_THROWS_WITH_AS((void)filled(Tensor::zeros({1, 4}), {.kind = "blur"}, {}),
                             doctest::Contains("(N,H,W,C)"), Error);
    }
}
