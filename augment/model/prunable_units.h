// Which filters and neurons of a network can be removed, read off its recorded graph. A unit is an output
// channel of a convolution or an output of a linear layer. Where its value reaches only other such layers,
// through what treats each channel by itself and maps 0 to 0 (batch norm without shift, ReLU, pooling,
// dropout, flatten), it can be cut out of all tensors. Where it meets other units, in a sum or a depthwise
// convolution, it is tied to them: it can only be set to 0.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/module.h"

namespace backlight {

struct UnitLayer {
    std::string name;  // module path: "features.0"
    std::string
        at;  // recorded layer whose output is the units' before the activation: the norm, or the layer itself
    int64_t units = 0;
    std::string tied;                // why its units can only be set to 0; empty: they can be cut out
    std::vector<std::string> norms;  // module paths: one channel a unit
    /// Reads unit k as input features k, k + units, ..., k + (positions - 1) units (channel-last flatten);
    /// convolutions have one position.
    struct Reader {
        std::string name;
        int64_t positions = 1;
    };
    std::vector<Reader> readers;  // complete where it is not tied
};

/// 1: the unit lives, 0: it is removed. One row a layer, one entry a unit.
using LivingUnits = std::vector<std::vector<uint8_t>>;

struct NetworkCost {
    int64_t parameters = 0;
    int64_t macs =
        0;  // multiply-accumulates of convolutions and linear layers in a forward pass of one sample
    [[nodiscard]] int64_t bits() const { return 32 * parameters; }
};

class PrunableUnits {
public:
    /// Runs the network on one sample of zeros (H,W,C) or (D).
    PrunableUnits(Module& net, const Shape& sample);

    /// In the order of the forward pass. Neither the output layer nor layers that are called more than once.
    [[nodiscard]] const std::vector<UnitLayer>& layers() const { return layers_; }
    /// Tied units are left out: no row of `living` ever loses one.
    void leave_tied();
    [[nodiscard]] int64_t count() const;
    [[nodiscard]] LivingUnits all_living() const;
    /// Once the dead units of layers that are not tied are cut out.
    [[nodiscard]] NetworkCost cost(const LivingUnits& living) const;

private:
    struct Weighted {
        std::string name;
        int64_t in = 0, out = 0;
        int64_t weights = 1;     // of one input and one output feature: Kh Kw
        int64_t positions = 1;   // of the output
        int64_t per_output = 0;  // other parameters of an output feature: bias, norms
    };
    std::vector<UnitLayer> layers_;
    std::vector<Weighted> weighted_;  // those that can be made narrower
    NetworkCost others_;              // of all else
};

}  // namespace backlight
