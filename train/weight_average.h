// Exponential moving average of a network's weights.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "layers/module.h"

namespace backlight {

/// The first update copies, later ones give decay * average + (1 - decay) * weight. Buffers (the statistics
/// of batch norm) are the network's own, as PyTorch's AveragedModel has it.
class WeightAverage {
public:
    explicit WeightAverage(double decay) : decay_(decay) {}

    void update(const Module& net);
    /// Runs `use` while the network holds the averaged weights, and puts its own back; also when `use`
    /// throws.
    void with(const Module& net, const std::function<void()>& use) const;
    /// By parameter name; empty before the first update.
    [[nodiscard]] const std::map<std::string, Tensor>& state() const { return average_; }
    /// Throws Error when an entry does not fit a parameter.
    void restore(const Module& net, const std::map<std::string, Tensor>& state);

private:
    double decay_;
    std::map<std::string, Tensor> average_;
};

}  // namespace backlight
