#include "datasets/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/options.h"
#include "core/random.h"
#include "datasets/loader.h"

namespace backlight {
namespace {

class Shuffled final : public Sampler {
public:
    Shuffled(int64_t size, int64_t length) : size_(size), length_(length) {}
    [[nodiscard]] int64_t length() const override { return length_; }
    [[nodiscard]] std::vector<int64_t> order(uint64_t seed, int64_t epoch) const override {
        std::vector<int64_t> order;
        order.reserve(static_cast<size_t>(length_));
        int64_t at = epoch * length_;
        while (static_cast<int64_t>(order.size()) < length_) {
            const std::vector<int64_t> pass = epoch_order(size_, seed, at / size_);
            const int64_t first = at % size_;
            const int64_t count = std::min(size_ - first, length_ - static_cast<int64_t>(order.size()));
            order.insert(order.end(), pass.begin() + first, pass.begin() + first + count);
            at += count;
        }
        return order;
    }

private:
    int64_t size_, length_;
};

class ByClass final : public Sampler {
public:
    ByClass(std::vector<std::vector<int64_t>> members, const std::vector<double>& probabilities,
            int64_t length)
        : members_(std::move(members)), cumulative_(probabilities.size()), length_(length) {
        std::partial_sum(probabilities.begin(), probabilities.end(), cumulative_.begin());
        while (probabilities[last_] == 0) {
            --last_;
        }
    }
    [[nodiscard]] int64_t length() const override { return length_; }
    // Slot i belongs to the class whose piece of [0, 1) holds (i + u) / length, with one u for all: a piece
    // of p holds floor(p length) or one more of these points, p length in the mean over u.
    [[nodiscard]] std::vector<int64_t> order(uint64_t seed, int64_t epoch) const override {
        RandomStream random(
            RandomKey{.seed = seed, .purpose = purpose::kOrder, .step = static_cast<uint64_t>(epoch)});
        const double offset = random.uniform();
        std::vector<int64_t> order;
        order.reserve(static_cast<size_t>(length_));
        size_t k = 0;
        for (int64_t i = 0; i < length_; ++i) {
            const double at = (static_cast<double>(i) + offset) / static_cast<double>(length_);
            while (k < last_ && cumulative_[k] <= at) {
                ++k;
            }
            const std::vector<int64_t>& members = members_[k];
            order.push_back(members[static_cast<size_t>(random.below(static_cast<int64_t>(members.size())))]);
        }
        random.shuffle(order);
        return order;
    }

private:
    std::vector<std::vector<int64_t>> members_;
    std::vector<double> cumulative_;
    size_t last_ =
        cumulative_.size() - 1;  // the last class that is drawn: sums of shares may fall short of 1
    int64_t length_;
};

void check_length(int64_t size, int64_t length) {
    BACKLIGHT_CHECK(size > 0, "sampler: the data set has no samples");
    BACKLIGHT_CHECK(length > 0, "sampler: expected at least one sample an epoch, got ", length);
}

void check_numbers(const std::vector<double>& values, const Dataset& set, std::string_view what) {
    BACKLIGHT_CHECK(static_cast<int64_t>(values.size()) == set.num_classes(), "sampler: expected ",
                    set.num_classes(), ' ', what, ", one a class, got ", values.size());
    for (const double value : values) {
        BACKLIGHT_CHECK(std::isfinite(value) && value >= 0, "sampler: expected ", what, " >= 0, got ", value);
    }
}

/// Of each class, weight times samples, in shares of their sum.
std::vector<double> shares(std::vector<double> weights, const std::vector<int64_t>& counts) {
    double sum = 0;
    for (size_t k = 0; k < weights.size(); ++k) {
        weights[k] *= static_cast<double>(counts[k]);
        sum += weights[k];
    }
    BACKLIGHT_CHECK(sum > 0, "sampler: every sample has weight 0");
    for (double& weight : weights) {
        weight /= sum;
    }
    return weights;
}

}  // namespace

SamplerPtr shuffled_sampler(int64_t size, int64_t length) {
    check_length(size, length);
    return std::make_shared<Shuffled>(size, length);
}

SamplerPtr class_sampler(const Dataset& set, const std::vector<double>& probabilities, int64_t length) {
    check_length(set.size(), length);
    check_numbers(probabilities, set, "probabilities");
    const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
    constexpr double kTolerance = 1e-6;  // for 0.333:0.333:0.334 and the like written with more digits
    BACKLIGHT_CHECK(std::abs(sum - 1.0) <= kTolerance, "sampler: the probabilities sum to ", sum,
                    ", expected 1");
    std::vector<std::vector<int64_t>> members = set.samples_by_class();
    for (size_t k = 0; k < members.size(); ++k) {
        BACKLIGHT_CHECK(probabilities[k] == 0 || !members[k].empty(), "sampler: class ", set.class_names()[k],
                        " has probability ", probabilities[k], ", but no samples");
    }
    return std::make_shared<ByClass>(std::move(members), probabilities, length);
}

SamplerPtr make_sampler(std::string_view text, const Dataset& set, int64_t length) {
    const int64_t samples = length == 0 ? set.size() : length;
    const Spec spec = parse_spec(text);
    const Options options(spec);
    if (spec.name == "uniform") {
        options.finish();
        return shuffled_sampler(set.size(), samples);
    }
    if (spec.name == "balanced") {
        options.finish();
        std::vector<double> weights;
        for (const std::vector<int64_t>& members : set.samples_by_class()) {
            weights.push_back(members.empty() ? 0.0 : 1.0 / static_cast<double>(members.size()));
        }
        return class_sampler(set, shares(weights, set.class_counts()), samples);
    }
    BACKLIGHT_CHECK(spec.name == "classes",
                    unknown_name("sampler", spec.name, {"uniform", "balanced", "classes"}));
    BACKLIGHT_CHECK(options.has("probabilities") != options.has("weights"),
                    "classes: give either probabilities or weights, one number a class");
    const auto probabilities = options.get("probabilities", std::vector<double>{});
    const auto weights = options.get("weights", std::vector<double>{});
    options.finish();
    if (!probabilities.empty()) {
        return class_sampler(set, probabilities, samples);
    }
    check_numbers(weights, set, "weights");
    return class_sampler(set, shares(weights, set.class_counts()), samples);
}

}  // namespace backlight
