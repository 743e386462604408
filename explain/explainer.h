// Explainer: a method with its options, applied to a network and a batch. The method names of the command
// line.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/grad.h"
#include "autograd/recording.h"
#include "explain/composite.h"
#include "explain/start.h"
#include "layers/module.h"

namespace backlight {

/// What the caller knows about the network, its input and its data, for methods that ask.
struct ExplainContext {
    std::string cam_layer;          // default layer of the CAM methods; empty: none stated
    std::vector<double> low, high;  // input range, one value or one a channel; empty: not stated
    std::vector<double> mean, std;  // of the normalisation of pictures; empty: 0 and 1
    uint64_t seed = 0;              // of methods that draw
    /// Samples of the training data (M,H,W,C) or (M,D), for methods that compare with them; empty: none.
    std::function<Tensor()> background;
    std::function<void(int64_t done, int64_t of)> progress;  // of methods that take long; may be empty
};

/// A background that is at hand.
[[nodiscard]] inline std::function<Tensor()> always(const Tensor& x) {
    return [x] { return x; };
}

struct ExplainRequest {
    std::vector<int64_t> targets{};  // one a sample; not read with `start` or `neuron`
    /// Where relevance is asked for; empty: the input. "L": output of layer L, "L:in": its input.
    std::vector<std::string> layers{};
    Tensor start{};  // (N,K): what arrives at the logits, in place of the method's; undefined: the method's
    /// "L:c" or "L:h:w:c" (or "L:i" of a vector): this neuron of layer L is explained in place of a logit,
    /// all positions of its channel where none is given. Empty: a logit.
    std::string neuron{};
    /// Number of each sample in its data set, which keys what methods draw: a sample's map is then the same
    /// in whatever batch it stands. Empty: 0, 1, ...
    std::vector<int64_t> numbers{};
    [[nodiscard]] int64_t number(int64_t sample) const {
        return numbers.empty() ? sample : numbers.at(static_cast<size_t>(sample));
    }
    /// Also the relevance of weights and biases (LRP methods; explain_all refuses where a method has none).
    bool parameters = false;
    bool magnitudes = false;  // of weights Σ |x W s| in the place of Σ x W s, of biases nothing
    /// Told of every node of each traversal, see GradOptions::watch.
    std::function<void(const NodeView& node, const Variable& arrived, const Variables& sent)> watch{};
};

/// What a method found.
struct Explanation {
    Variables maps;       // one a requested layer, of its shape; CAM methods (N,H,W,1)
    bool coarse = false;  // values stand for regions, not for single pixels: best seen over the picture
    std::vector<double> expected{};    // what the sum of each sample's first map should be; empty: nothing
    std::vector<std::string> notes{};  // one line each, for the reader of the map
    /// By the layer's name: summed over the batch, of merged weights where batch norm is merged.
    std::map<std::string, ParameterRelevance> parameters{};
};

class ExplainedForward;

/// A method on one recorded forward pass: any number of targets may be asked of it, the forward is not run
/// again.
class Explainer {
public:
    virtual ~Explainer() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual Start start() const { return Start::one; }
    /// What arrives at the output, for the reader.
    [[nodiscard]] virtual std::string start_name() const { return name_of(start()); }
    /// Whether `create_graph` gives maps with a history, so that a loss may contain them.
    [[nodiscard]] virtual bool differentiable() const { return true; }
    /// Whether it reads values of the forward pass, or derivatives alone (ExplainedForward's `keeps`).
    [[nodiscard]] virtual bool reads_values() const { return true; }
    /// The layer whose output is the first thing that `request` reads (CAM): the pass up to there needs no
    /// history. Empty: everything from the input on.
    [[nodiscard]] virtual std::string reads_from(const ExplainRequest&) const { return ""; }
    /// Throws Error when the network, the layer or the request does not suit the method.
    [[nodiscard]] virtual Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                              bool create_graph) = 0;
};

struct MethodEntry {
    std::string name;
    std::string description;
    std::unique_ptr<Explainer> (*build)(const Options& options, const ExplainContext& context);
};
/// Presets of composites are methods too.
[[nodiscard]] const std::vector<MethodEntry>& list_methods();
/// The methods that build_method takes, and lrp.
[[nodiscard]] std::vector<std::string> method_names();
/// "grad_cam", "epsilon_plus(epsilon=0.25, start=one)", "lrp". Throws Error on an unknown name or option.
[[nodiscard]] std::unique_ptr<Explainer> build_method(const std::string& text,
                                                      const ExplainContext& context = {});

/// What a black-box method reads of the network's answer: the logit, its softmax (or the logarithm of that),
/// or its sigmoid.
enum class Score : uint8_t { logit, probability, log_probability, sigmoid };

/// (rows) of an explained output (rows,...), of which each row belongs to a changed copy of sample
/// `sample[row]`: its target's score; with `start` the sum of start times scores; of a neuron the sum over
/// its positions.
[[nodiscard]] std::vector<double> read_scores(const Tensor& output, const std::vector<int64_t>& sample,
                                              const ExplainRequest& request, Score score = Score::logit);

/// A forward pass in evaluation mode, recorded, that any number of explanations read.
class ExplainedForward {
public:
    /// x: (N,H,W,C) or (N,D). A final softmax or sigmoid is left out: `logits` is its input. Keeps::names:
    /// for explainers that do not read values, without history (explain, explain_all): less memory. `from`:
    /// recorded from the output of this layer on, which has no history of its own then; in front of it
    /// inference is as fast as elsewhere. A name that is no module's records everything.
    ExplainedForward(Module& net, const Tensor& x, Recording::Keeps keeps = Recording::Keeps::values,
                     const std::string& from = "");

    /// Of a pass that was recorded elsewhere, e.g. in a training step: its mode and its statistics.
    ExplainedForward(Module& net, Recording::Layers layers, Variable input, Variable logits)
        : net_(&net),
          keeps_(Recording::Keeps::values),
          layers_(std::move(layers)),
          input_(std::move(input)),
          logits_(std::move(logits)) {}

    [[nodiscard]] Module& net() const { return *net_; }
    [[nodiscard]] const Variable& input() const { return input_; }
    [[nodiscard]] const Variable& logits() const { return logits_; }
    [[nodiscard]] const Recording::Layers& layers() const { return layers_; }
    /// Name of the final activation that was left out; empty if none.
    [[nodiscard]] const std::string& stripped() const { return stripped_; }
    [[nodiscard]] std::vector<int64_t> predicted() const;

    /// The same network on other inputs, recorded.
    [[nodiscard]] ExplainedForward at(const Tensor& x) const { return {*net_, x, keeps_, from_}; }

    /// What is explained and what arrives there: the logits, or the layer of a neuron. Without `create_graph`
    /// the start has no history.
    struct Begin {
        Variable output, start;
    };
    [[nodiscard]] Begin begin(const ExplainRequest& request, Start start, bool create_graph) const;
    /// The variables that `request` asks relevance of. Throws Error for a layer that does not depend on the
    /// input.
    [[nodiscard]] Variables points(const ExplainRequest& request) const;
    /// The same as Layers::handle gives them, for who does not read their values.
    [[nodiscard]] Variables handles(const ExplainRequest& request) const;
    /// Throws Error when `request` explains a neuron that lies in front of `at`, the output of `layer`.
    void check_below(const ExplainRequest& request, const std::string& layer, const Variable& at) const;

    /// What a black-box method measures: `read_scores` of the network on each row of x. Runs without history,
    /// in batches that fit memory.
    [[nodiscard]] std::vector<double> scores(const Tensor& x, const std::vector<int64_t>& sample,
                                             const ExplainRequest& request, Score score = Score::logit) const;
    /// From now on `scores` remembers what the network answers: methods that send the same changed inputs for
    /// every class then run it once for all of them.
    void remember_answers() { answers_.emplace(); }

    /// The first map of explain_all.
    [[nodiscard]] Tensor explain(Explainer& explainer, const ExplainRequest& request) const;
    /// All of it, without history. Throws Error when the logits or a map are not finite, naming the sample
    /// and, of a traversal, the node where it begins; and when parameters were asked for and none were found.
    [[nodiscard]] Explanation explain_all(Explainer& explainer, const ExplainRequest& request) const;

private:
    /// Of this many rows of `x`: the explained output without history.
    [[nodiscard]] Variable output_of(const Tensor& x, const ExplainRequest& request) const;
    /// The same, from memory where that has it.
    [[nodiscard]] Tensor answer_to(const Tensor& x, const ExplainRequest& request) const;

    Module* net_;
    Recording::Keeps keeps_;
    std::string from_;  // the layer in front of which nothing is recorded; empty: all is
    Recording::Layers layers_;
    Variable input_, logits_;
    std::string stripped_;
    mutable std::optional<std::unordered_map<size_t, Tensor>> answers_;  // by a hash of the values sent in
};

}  // namespace backlight
