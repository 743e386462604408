// Explainer: a method with its options, applied to a network and a batch. The method names of the command
// line.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "autograd/grad.h"
#include "autograd/recording.h"
#include "explain/composite.h"
#include "explain/start.h"
#include "layers/module.h"

namespace backlight {

/// What the caller knows about the network's input and layers, for methods that ask.
struct ExplainContext {
    std::string cam_layer;          // default layer of the CAM methods; empty: none stated
    std::vector<double> low, high;  // input range, one value or one a channel; empty: not stated
};

struct ExplainRequest {
    std::vector<int64_t> targets;  // one a sample
    std::string layer;             // empty: the input. "L": output of layer L; "L:in": its input
};

/// A method on one recorded forward pass: any number of targets may be asked of it, the forward is not run
/// again.
class Explainer {
public:
    virtual ~Explainer() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual Start start() const = 0;
    /// `input` is the leaf that the recorded forward began with, `logits` (N,K) its end. Result: of the
    /// explained tensor's shape; CAM methods (N,H,W,1). With `create_graph` it has a history.
    [[nodiscard]] virtual Variable explain(const Recording::Layers& layers, const Variable& input,
                                           const Variable& logits, const ExplainRequest& request,
                                           bool create_graph) = 0;
};

struct MethodEntry {
    std::string name;
    std::string description;
    std::unique_ptr<Explainer> (*build)(const Options& options, const ExplainContext& context);
};
/// Presets of composites are methods too.
[[nodiscard]] const std::vector<MethodEntry>& list_methods();
/// "grad_cam", "epsilon_plus(epsilon=0.25, start=one)", "lrp". Throws Error on an unknown name or option.
[[nodiscard]] std::unique_ptr<Explainer> build_method(const std::string& text,
                                                      const ExplainContext& context = {});

/// A forward pass in evaluation mode, recorded, that any number of explanations read.
class ExplainedForward {
public:
    /// x: (N,H,W,C) or (N,D). A final softmax or sigmoid is left out: `logits` is its input.
    ExplainedForward(Module& net, const Tensor& x);

    [[nodiscard]] const Variable& input() const { return input_; }
    [[nodiscard]] const Variable& logits() const { return logits_; }
    [[nodiscard]] const Recording::Layers& layers() const { return layers_; }
    /// Name of the final activation that was left out; empty if none.
    [[nodiscard]] const std::string& stripped() const { return stripped_; }
    [[nodiscard]] std::vector<int64_t> predicted() const;
    /// Throws Error naming the method when a value is not finite.
    [[nodiscard]] Tensor explain(Explainer& explainer, const ExplainRequest& request) const;

private:
    Recording::Layers layers_;
    Variable input_, logits_;
    std::string stripped_;
};

}  // namespace backlight
