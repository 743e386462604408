// Where a relevance pass starts: what arrives at the logits. Names as on the command line:
// start=one|logit|...
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace backlight {

enum class Start {
    one,           // 1 at the target
    logit,         // f_t at the target
    prob,          // softmax probability p_t at the target
    contrastive,   // f_t at the target, -f_t p_c / (1 - p_t) at the others
    sum_log_prob,  // 1 - K p_c: the gradient of Σ_c log p_c
    logodds,       // log((K-1) p_c / (1 - p_c)) at the target, p clamped to [1e-4, 1 - 1e-4]
    relu_logit,    // max(f_t, 0) at the target
};

[[nodiscard]] Start parse_start(const std::string& name);
[[nodiscard]] std::string name_of(Start start);
[[nodiscard]] const std::vector<std::string>& list_starts();

/// logits (N,K), one target a sample -> (N,K). Has a history through the logits unless the start is `one`.
[[nodiscard]] Variable start_values(Start start, const Variable& logits, const std::vector<int64_t>& targets);

/// A neuron of a layer, from "LAYER:c" or "LAYER:h:w:c"; of a vector "LAYER:i".
struct Neuron {
    std::string layer;
    std::vector<int64_t> index;
};
[[nodiscard]] Neuron parse_neuron(const std::string& text);
/// Ones at the neuron and zeros elsewhere, of the shape of `output` (N,...,C). Throws Error when the index
/// does not fit.
[[nodiscard]] Tensor neuron_mask(const Neuron& neuron, const Tensor& output);

}  // namespace backlight
