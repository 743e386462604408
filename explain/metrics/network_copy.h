// A second network with the weights of the first, for experiments that destroy them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/init.h"
#include "layers/module.h"

namespace backlight {

/// How the weights of a layer are drawn anew.
enum class Reinit : uint8_t {
    matched,  // each weight from a normal with the tensor's own mean and deviation; biases and statistics
              // stay
    reset,    // as a fresh layer starts, biases, norms and running statistics too
    shuffle,  // each weight tensor's entries in another order; biases and statistics stay
};
[[nodiscard]] Reinit parse_reinit(const std::string& name);

class NetworkCopy {
public:
    /// `fresh` has the architecture of `original`, with any weights. Throws Error when their parameters or
    /// buffers differ in name or shape.
    NetworkCopy(Module& original, std::unique_ptr<Module> fresh);

    [[nodiscard]] Module& net() const { return *copy_; }
    /// Parameters and buffers become the original's again.
    void restore();
    /// Names of the layers with weights, from the input on (in order of registration). A norm belongs to the
    /// layer before it.
    [[nodiscard]] const std::vector<std::string>& layers() const { return names_; }
    /// Draws layer `index` anew. What it gets depends on `seed`, its name and how it starts; other layers
    /// stay.
    void randomize(size_t index, Reinit how, Init init, uint64_t seed);

private:
    Module* original_;
    std::unique_ptr<Module> copy_;
    std::vector<std::string> names_;
    std::vector<std::vector<std::string>> members_;  // paths of the modules of each layer
};

}  // namespace backlight
