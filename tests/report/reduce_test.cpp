#include "report/reduce.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/error.h"

using namespace backlight;
using namespace backlight::report;

namespace {

/// Two pixels of three channels: (1, -4, 2) and (-3, -1, 0).
Tensor two_pixels() { return Tensor::from<float>({1, -4, 2, -3, -1, 0}, {1, 2, 3}); }

std::vector<float> reduced(Reduce reduce) { return reduce_channels(two_pixels(), reduce).to_vector<float>(); }

}  // namespace

TEST_CASE("reduce_channels: each reduction is its formula") {
    CHECK(reduced(Reduce::sum) == std::vector<float>{-1, -4});
    CHECK(reduced(Reduce::abs_sum) == std::vector<float>{7, 4});
    CHECK(reduced(Reduce::max_abs) == std::vector<float>{4, 3});
    CHECK(reduced(Reduce::pos_sum) == std::vector<float>{0, 0});
    CHECK(reduced(Reduce::none) == std::vector<float>{1, -4, 2, -3, -1, 0});
    CHECK(reduced(Reduce::mean)[0] == doctest::Approx(-1.0 / 3));
    CHECK(reduced(Reduce::l2)[0] == doctest::Approx(std::sqrt(21.0)));
    CHECK(
        reduce_channels(Tensor::from<float>({1, -4, 5}, {1, 1, 3}), Reduce::pos_sum).to_vector<float>()[0] ==
        2);
}

TEST_CASE("reduce_channels: one channel stays, with and without a batch, from f32 and f64") {
    CHECK(reduce_channels(two_pixels(), Reduce::sum).shape() == Shape{1, 2, 1});
    const Tensor batch = Tensor::from<double>({1, -4, 2, -3, -1, 0}, {2, 1, 1, 3});
    const Tensor sum = reduce_channels(batch, Reduce::sum);
    CHECK(sum.shape() == Shape{2, 1, 1, 1});
    CHECK(sum.dtype() == DType::f32);
    CHECK(sum.to_vector<float>() == std::vector<float>{-1, -4});
}

TEST_CASE("reduce_channels: a relevance that is not finite is an error") {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        const Tensor map = Tensor::from<float>({0, bad}, {1, 2, 1});
        CHECK_THROWS_WITH_AS((void)reduce_channels(map, Reduce::sum),
                             doctest::Contains("not a finite number"), Error);
        CHECK_THROWS_WITH_AS((void)normalize(map, Normalize::max_abs), doctest::Contains("element 1"), Error);
    }
}

TEST_CASE("normalize: each sample of a batch is scaled by itself") {
    const Tensor batch = Tensor::from<float>({1, -4, 2, 0, 0.5F, 0.25F}, {2, 1, 3, 1});
    CHECK(normalize(batch, Normalize::max_abs).to_vector<float>() ==
          std::vector<float>{0.25F, -1, 0.5F, 0, 1, 0.5F});
    CHECK(normalize(batch, Normalize::none).to_vector<float>() == batch.to_vector<float>());
    const std::vector<float> share = normalize(batch, Normalize::sum_abs).to_vector<float>();
    CHECK(share[1] == doctest::Approx(-4.0 / 7));
    CHECK(share[5] == doctest::Approx(1.0 / 3));
    const std::vector<float> range = normalize(batch, Normalize::minmax).to_vector<float>();
    CHECK(range[0] == doctest::Approx(5.0 / 6));
    CHECK(range[1] == 0);
    CHECK(range[4] == 1);
}

TEST_CASE("normalize: a sample of zeros stays zero") {
    for (const Normalize mode : {Normalize::max_abs, Normalize::minmax, Normalize::sum_abs}) {
        CHECK(normalize(Tensor::from<float>({0, 0}, {1, 2}), mode).to_vector<float>() ==
              std::vector<float>{0, 0});
    }
}

TEST_CASE("percentile_abs: interpolates between order statistics of the absolute values, as numpy") {
    const Tensor map = Tensor::from<float>({-4, 1, 3, -2, 0}, {1, 5});
    CHECK(percentile_abs(map, 100) == 4);
    CHECK(percentile_abs(map, 0) == 0);
    CHECK(percentile_abs(map, 50) == 2);
    CHECK(percentile_abs(map, 90) == doctest::Approx(3.6));  // numpy.percentile([0,1,2,3,4], 90)
    CHECK_THROWS_AS((void)percentile_abs(map, 101), Error);
}

TEST_CASE("parse_reduce, parse_normalize: names of the command line, near ones in the error") {
    for (const std::string& name : reduce_names()) {
        CHECK_NOTHROW((void)parse_reduce(name));
    }
    CHECK(parse_reduce("max-abs") == Reduce::max_abs);
    CHECK(parse_normalize("minmax") == Normalize::minmax);
    CHECK_THROWS_WITH_AS((void)parse_reduce("max_abs"), doctest::Contains("did you mean max-abs?"), Error);
}

TEST_CASE("batch_item: takes one sample, whatever its type") {
    const Tensor batch = Tensor::from<uint8_t>({1, 2, 3, 4}, {2, 1, 2, 1});
    const Tensor item = batch_item(batch, 1);
    CHECK(item.shape() == Shape{1, 2, 1});
    CHECK(item.to_vector<uint8_t>() == std::vector<uint8_t>{3, 4});
    CHECK_THROWS_AS((void)batch_item(batch, 2), Error);
}
