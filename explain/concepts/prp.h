// Prototypical relevance propagation: which pixels make a picture similar to a prototype. A prototype network
// compares every position of a layer with learned vectors p_j:
//   d² = ‖a_hw - p_j‖²,   sim = log((d² + 1) / (d² + 1e-4)),   the largest over positions.
// Source: Gautam et al., "This looks more like that: enhancing self-explaining models by prototypical
// relevance propagation", Pattern Recognition, 2023.
#pragma once

#include <array>
#include <vector>

#include "autograd/variable.h"

namespace backlight {

struct PrototypeMatch {
    Variable similarity;  // (N), at each sample's best position
    Variable relevance;   // (N,h,w,C): what PRP starts with; its sum is the similarity
    std::vector<std::array<int64_t, 2>> position;  // (row, column), the first of equals
};

/// activations (N,h,w,C), prototype (C). At the best position the channels share sim in proportion to
/// u_c = 1 / (|a_c - p_c|^power + 1e-12), computed as a softmax of log u. Differentiable, the position is
/// constant. Throws Error on other shapes and unless power is 2 or 4.
[[nodiscard]] PrototypeMatch match_prototype(const Variable& activations, const Variable& prototype,
                                             int power = 2);

}  // namespace backlight
