// Initialisation of weights. Each parameter draws from its own stream, keyed by the seed and its place in the
// model.
#pragma once

#include "layers/module.h"

namespace backlight {

enum class Init {
    pytorch,         // weights and biases U(±1/√fan_in), as torch.nn.Linear and Conv2d start
    he_normal,       // N(0, 2/fan_in), zero bias (He et al., 2015)
    xavier_uniform,  // U(±√(6/(fan_in + fan_out))), zero bias (Glorot and Bengio, 2010)
    small_normal,    // weights and biases N(0, 0.1²), as Ross et al., 2017, start theirs
};

/// Fills the parameters whose name matches the glob: weights of at least two axes by the scheme, scales of
/// norms with 1, their shifts with 0, embeddings with N(0, 1). What a parameter gets does not depend on which
/// others match. Buffers that match are reset.
void initialize(Module& root, Init scheme, uint64_t seed, std::string_view pattern = "*");

}  // namespace backlight
