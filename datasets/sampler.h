// Samplers: which samples an epoch has, and in which order. An order is a function of the sampler, the seed
// and the epoch, so a resumed run needs no state of it. A distribution that changes while training runs is
// another sampler, or an order given to Loader::seek.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "datasets/dataset.h"

namespace backlight {

class Sampler {
public:
    virtual ~Sampler() = default;
    /// Samples of an epoch: the same number in each.
    [[nodiscard]] virtual int64_t length() const = 0;
    [[nodiscard]] virtual std::vector<int64_t> order(uint64_t seed, int64_t epoch) const = 0;
};

using SamplerPtr = std::shared_ptr<const Sampler>;

/// Without replacement: epochs are consecutive pieces, `length` long, of an endless row of shuffled passes
/// over 0..size-1. Throws Error unless both are positive.
[[nodiscard]] SamplerPtr shuffled_sampler(int64_t size, int64_t length);

/// With replacement: an epoch has `length * probabilities[k]` samples of class k, rounded down or up at
/// random so that the mean is exact (systematic sampling), each drawn uniformly from the class, all shuffled.
/// Throws Error unless there is one probability a class, their sum is 1, and every class that has one has
/// samples. In a multi-label set a sample belongs to each class that it shows.
[[nodiscard]] SamplerPtr class_sampler(const Dataset& set, const std::vector<double>& probabilities,
                                       int64_t length);

/// By name, in the grammar of core/options.h:
///   uniform                        shuffled_sampler
///   balanced                       every class that occurs equally often
///   classes(probabilities=0.1:0.9) the share of each class
///   classes(weights=1:3)           the weight of each sample by its class
/// `length` 0 stands for the size of the set. Throws Error on an unknown name and where the above do.
[[nodiscard]] SamplerPtr make_sampler(std::string_view spec, const Dataset& set, int64_t length);

}  // namespace backlight
