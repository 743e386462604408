#include <doctest/doctest.h>

#include <cmath>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

std::vector<double> mean_of(const Dataset& set, int64_t label) {
    const auto dimensions = static_cast<size_t>(set.sample_shape()[0]);
    std::vector<double> mean(dimensions, 0.0);
    double count = 0;
    for (int64_t i = 0; i < set.size(); ++i) {
        if (set.label(i) == label) {
            const std::vector<float> x = set.get(i).input.to_vector<float>();
            for (size_t d = 0; d < dimensions; ++d) {
                mean[d] += x[d];
            }
            ++count;
        }
    }
    for (double& value : mean) {
        value /= count;
    }
    return mean;
}

}  // namespace

TEST_CASE("toy1: sizes, dimensions and masks") {
    const auto source = load_data("toy1");
    CHECK(source->train->size() == 350);
    CHECK(source->test->size() == 50);
    CHECK(source->split("fresh")->size() == 2000);
    CHECK(source->split("fresh")->class_counts() == std::vector<int64_t>{1000, 1000});
    CHECK(source->train->sample_shape() == Shape{5});
    CHECK(source->train->get(3).mask.to_vector<float>() == std::vector<float>{1, 1, 0, 0, 0});
    CHECK(contains(error_of([] { (void)load_data("toy1(n=50)"); }), "leave no training set"));
}

TEST_CASE("toy1: two informative dimensions with the clusters' class means, the rest standard normal") {
    // The mean of a class is the mean of its two corners.
    const auto source = load_data("toy1(n_fresh=20000,sep=3)");
    const Dataset& fresh = *source->split("fresh");
    const std::vector<double> mean0 = mean_of(fresh, 0), mean1 = mean_of(fresh, 1);
    for (size_t d = 0; d < 2; ++d) {
        CHECK(std::abs(mean0[d] + mean1[d]) < 0.2);  // the four corners are centred
        const double nearest = std::abs(mean0[d]) < 1.5 ? 0.0 : 3.0;
        CHECK(std::abs(std::abs(mean0[d]) - nearest) < 0.1);
    }
    for (size_t d = 2; d < 5; ++d) {
        CHECK(std::abs(mean0[d]) < 0.05);
    }
}

TEST_CASE("toy1: a tenth of the labels is drawn anew, half of which stay as they are") {
    const auto noisy = load_data("toy1(n=20000,n_test=10)");
    const auto clean = load_data("toy1(n=20000,n_test=10,noise=0)");
    CHECK(noisy->train->all().input.to_vector<float>() == clean->train->all().input.to_vector<float>());
    double changed = 0;
    for (int64_t i = 0; i < noisy->train->size(); ++i) {
        changed += noisy->train->label(i) != clean->train->label(i) ? 1 : 0;
    }
    CHECK(std::abs(changed / 19990 - 0.05) < 5 * 0.0016);
}

TEST_CASE("toy2: the last dimension has the label's sign in training and a coin's elsewhere") {
    const auto source = load_data("toy2");
    CHECK(source->train->size() == 350);
    CHECK(source->train->sample_shape() == Shape{4});
    CHECK(source->train->get(0).decoy_mask.to_vector<float>() == std::vector<float>{0, 0, 0, 1});
    const auto agreement = [](const Dataset& set) {
        double agree = 0;
        for (int64_t i = 0; i < set.size(); ++i) {
            agree += (set.get(i).input.to_vector<float>()[3] > 0) == (set.label(i) == 1) ? 1 : 0;
        }
        return agree / static_cast<double>(set.size());
    };
    CHECK(agreement(*source->train) == 1.0);
    CHECK(std::abs(agreement(*source->split("fresh")) - 0.5) < 5 * 0.011);
    CHECK(std::abs(agreement(*source->test) - 0.5) < 5 * 0.071);
    double total = 0;
    for (int64_t i = 0; i < 2000; ++i) {
        total += std::abs(source->split("fresh")->get(i).input.to_vector<float>()[3]);
    }
    CHECK(total / 2000 == doctest::Approx(0.7 * std::sqrt(2 / std::acos(-1.0))).epsilon(0.07));
}

TEST_CASE("toy3: the second feature follows the class in training and is constant in the test set") {
    const auto source = load_data("toy3");
    CHECK(source->train->class_counts() == std::vector<int64_t>{100, 100});
    CHECK(source->test->class_counts() == std::vector<int64_t>{100, 100});
    for (int64_t i = 0; i < 200; ++i) {
        REQUIRE(source->test->get(i).input.to_vector<float>()[1] == 1.5f);
    }
    const std::vector<double> mean = mean_of(*source->train, 1);
    CHECK(std::abs(mean[0] - 1) < 5 * 0.03);
    CHECK(std::abs(mean[1] - 1) < 5 * 0.03);
    CHECK(std::abs(mean_of(*source->test, 0)[0] + 1) < 5 * 0.03);
    CHECK(source->train->get(0).mask.to_vector<float>() == std::vector<float>{1, 0});
    CHECK(source->train->get(0).decoy_mask.to_vector<float>() == std::vector<float>{0, 1});
}
