#include "explain/explainer.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {
namespace {

bool is_finite(const Tensor& x) {
    const NoGrad off;
    if (std::isfinite(sum(Variable(x)).item())) {  // one pass; a sum of finite values may still overflow
        return true;
    }
    return sum(Variable(1.0 - Variable(mask(UnaryOp::is_finite, x)))).item() == 0;
}

/// The first row of (N,...) with a value that is not finite; -1: none.
int64_t first_not_finite(const Tensor& x) {
    if (is_finite(x)) {
        return -1;
    }
    const NoGrad off;
    const Variable bad = 1.0 - Variable(mask(UnaryOp::is_finite, x));
    const auto counts = sum(flatten(bad), {1}).data().to(DType::f64).to_vector<double>();
    return std::find_if(counts.begin(), counts.end(), [](double n) { return n > 0; }) - counts.begin();
}

/// Rows that one forward pass takes: about two million input values at once.
int64_t rows_at_once(const Shape& shape) {
    constexpr int64_t kValues = 2'000'000;
    const int64_t row = std::max<int64_t>(shape.numel() / std::max<int64_t>(shape[0], 1), 1);
    return std::clamp<int64_t>(kValues / row, 1, 256);
}

std::string final_activation(const Variable& output) {
    const bool made = output.requires_grad() && !output.node()->is_leaf();
    const std::string_view kind = made ? output.node()->op->kind() : std::string_view();
    const bool is_activation = kind == "softmax" || kind == "sigmoid" || kind == "log_softmax";
    return is_activation ? std::string(kind) : std::string();
}

/// Records from the output of a layer on, which becomes a leaf.
class LateRecording {
public:
    LateRecording(Module& layer, const std::string& name, Recording::Keeps keeps)
        : layer_(&layer), off_(std::in_place) {
        hook_ = layer.add_hook([this, name, keeps](Module&, const Variable& x, const Variable& y) {
            if (recording_) {  // a later call
                return Variable();
            }
            off_.reset();
            recording_.emplace(keeps);
            Variable first = Variable::leaf(y.data());
            recording_->end_call(recording_->begin_call(name), name, x, first);
            return first;
        });
    }
    ~LateRecording() { layer_->remove_hook(hook_); }
    LateRecording(const LateRecording&) = delete;
    LateRecording& operator=(const LateRecording&) = delete;

    [[nodiscard]] Recording::Layers layers() const {
        return recording_ ? recording_->layers() : Recording::Layers();
    }

private:
    Module* layer_;
    std::optional<NoGrad> off_;
    std::optional<Recording> recording_;
    int hook_ = 0;
};

}  // namespace

ExplainedForward::ExplainedForward(Module& net, const Tensor& x, Recording::Keeps keeps,
                                   const std::string& from)
    : net_(&net), keeps_(keeps), from_(from) {
    BACKLIGHT_CHECK(is_finite(x), "explain: the input holds values that are not finite");
    const EvaluationMode mode(net);
    const EnableGrad enabled;
    const ConstantParameters constants(keeps == Recording::Keeps::names);
    const auto modules = net.modules();
    const auto layer = from.empty() ? modules.end()
                                    : std::find_if(modules.begin(), modules.end(),
                                                   [&](const auto& entry) { return entry.first == from; });
    if (layer != modules.end()) {
        const LateRecording recording(*layer->second, from, keeps);
        input_ = Variable(x);
        logits_ = net(input_);
        layers_ = recording.layers();
    }
    if (layers_.names().empty()) {  // all of it; also where that layer was not called
        from_.clear();
        const Recording recording(keeps);
        input_ = Variable::leaf(x);
        logits_ = net(input_);
        layers_ = recording.layers();
    }
    for (std::string last = final_activation(logits_); !last.empty(); last = final_activation(logits_)) {
        stripped_ = last;
        logits_ = logits_.node()->inputs[0];
    }
    BACKLIGHT_CHECK(logits_.rank() == 2, "explain: expected a network whose output is (N,K), got ",
                    logits_.shape());
}

std::vector<int64_t> ExplainedForward::predicted() const {
    return argmax(logits_.data(), 1).to_vector<int64_t>();
}

Variables ExplainedForward::points(const ExplainRequest& request) const {
    Variables points = handles(request);
    for (size_t i = 0; i < request.layers.size(); ++i) {
        if (!request.layers[i].empty()) {
            points[i] = layers_.at(request.layers[i]);
        }
    }
    return points;
}

Variables ExplainedForward::handles(const ExplainRequest& request) const {
    if (request.layers.empty()) {
        return {input_};
    }
    Variables points;
    for (const std::string& layer : request.layers) {
        points.push_back(layer.empty() ? input_ : layers_.handle(layer));
        BACKLIGHT_CHECK(points.back().requires_grad(), "layer ", layer, " does not depend on the input");
        check_below(request, layer, points.back());
    }
    return points;
}

void ExplainedForward::check_below(const ExplainRequest& request, const std::string& layer,
                                   const Variable& at) const {
    if (request.neuron.empty()) {
        return;
    }
    const Variable& of = layers_.handle(parse_neuron(request.neuron).layer);
    BACKLIGHT_CHECK(!of.node() || !at.node() || at.node()->sequence <= of.node()->sequence, "layer ", layer,
                    " lies behind the neuron ", request.neuron);
}

ExplainedForward::Begin ExplainedForward::begin(const ExplainRequest& request, Start start,
                                                bool create_graph) const {
    BACKLIGHT_CHECK(!request.start.defined() || request.neuron.empty(),
                    "explain: give a start or a neuron, not both");
    if (!request.neuron.empty()) {
        BACKLIGHT_CHECK(start == Start::one || start == Start::logit || start == Start::relu_logit,
                        "explain: start=", name_of(start), " is defined for logits, not for a neuron");
        const Neuron neuron = parse_neuron(request.neuron);
        const Variable output = layers_.at(neuron.layer);
        const Variable at = neuron_mask(neuron, output.data());
        const Variable value = create_graph ? output : output.detach();
        return {output, start == Start::one     ? at
                        : start == Start::logit ? value * at
                                                : positive_part(value) * at};
    }
    if (request.start.defined()) {
        BACKLIGHT_CHECK(request.start.shape() == logits_.shape(), "start: expected ", logits_.shape(),
                        " as the logits, got ", request.start.shape());
        BACKLIGHT_CHECK(is_finite(request.start), "start: holds values that are not finite");
        return {logits_, request.start.to(logits_.dtype())};
    }
    return {logits_, start_values(start, create_graph ? logits_ : logits_.detach(), request.targets)};
}

Variable ExplainedForward::output_of(const Tensor& x, const ExplainRequest& request) const {
    if (!request.neuron.empty() || !stripped_.empty()) {  // a recorded forward knows what lies inside
        const ExplainedForward forward(*net_, x);
        return (request.neuron.empty() ? forward.logits_
                                       : forward.layers_.at(parse_neuron(request.neuron).layer))
            .detach();
    }
    const EvaluationMode mode(*net_);
    return (*net_)(Variable(x));
}

std::vector<double> read_scores(const Tensor& output, const std::vector<int64_t>& sample,
                                const ExplainRequest& request, Score score) {
    const NoGrad off;
    const auto rows = static_cast<int64_t>(sample.size());
    BACKLIGHT_CHECK(output.rank() >= 1 && output.dim(0) == rows, "scores: an output of shape ",
                    output.shape(), " needs as many sample numbers as rows, got ", rows);
    // A probability next to 1 keeps its distance from it in f64 only.
    const Variable wide(output.to(DType::f64));
    if (!request.neuron.empty()) {
        const Tensor at = neuron_mask(parse_neuron(request.neuron), wide.data());
        return sum(flatten(wide * Variable(at)), {1}).data().to_vector<double>();
    }
    Variable start;
    if (request.start.defined()) {
        start = gather_rows(Variable(request.start.to(DType::f64)),
                            Tensor::from(sample, {rows}, output.device()));
    } else {
        std::vector<int64_t> targets;
        for (const int64_t s : sample) {
            BACKLIGHT_CHECK(s < static_cast<int64_t>(request.targets.size()), "explain: sample ", s,
                            " has no target, there are ", request.targets.size());
            targets.push_back(request.targets[static_cast<size_t>(s)]);
        }
        start = start_values(Start::one, wide, targets);
    }
    const Variable read = score == Score::logit             ? wide
                          : score == Score::probability     ? softmax(wide)
                          : score == Score::log_probability ? log_softmax(wide)
                                                            : sigmoid(wide);
    return sum(read * start, {1}).data().to_vector<double>();
}

Tensor ExplainedForward::answer_to(const Tensor& x, const ExplainRequest& request) const {
    if (!answers_ || !request.neuron.empty()) {
        return output_of(x, request).data();
    }
    std::string bytes(x.bytes(), '\0');
    x.copy_to_host(bytes.data());
    Tensor& answer = (*answers_)[std::hash<std::string>{}(bytes)];
    if (!answer.defined()) {
        answer = output_of(x, request).data();
    }
    return answer;
}

std::vector<double> ExplainedForward::scores(const Tensor& x, const std::vector<int64_t>& sample,
                                             const ExplainRequest& request, Score score) const {
    BACKLIGHT_CHECK(static_cast<int64_t>(sample.size()) == x.dim(0), "scores: ", x.dim(0),
                    " rows need as many sample numbers, got ", sample.size());
    const NoGrad off;
    std::vector<double> values;
    values.reserve(sample.size());
    const int64_t step = rows_at_once(x.shape());
    for (int64_t first = 0; first < x.dim(0); first += step) {
        const int64_t count = std::min(step, x.dim(0) - first);
        const Tensor part = count == x.dim(0) ? x : slice(Variable(x), 0, first, count).data();
        const std::vector<int64_t> of(sample.begin() + first, sample.begin() + first + count);
        const std::vector<double> found = read_scores(answer_to(part, request), of, request, score);
        values.insert(values.end(), found.begin(), found.end());
    }
    return values;
}

Tensor ExplainedForward::explain(Explainer& explainer, const ExplainRequest& request) const {
    return explain_all(explainer, request).maps[0].data();
}

namespace {

/// The first node of the traversal that sends a value that is not finite, though all that arrives is: its
/// name. Or the node where all starts, when what starts there is not finite already.
std::string find_culprit(const ExplainedForward& forward, Explainer& explainer, ExplainRequest request) {
    std::string culprit;
    bool starts = true;
    request.watch = [&](const NodeView& node, const Variable& arrived, const Variables& sent) {
        const bool from_here = std::exchange(starts, false);
        if (!culprit.empty()) {
            return;
        }
        const std::string name = concat_text(node.kind(), node.name().empty() ? "" : " ", node.name());
        const bool bad = std::any_of(sent.begin(), sent.end(),
                                     [](const Variable& v) { return v.defined() && !is_finite(v.data()); });
        if (!is_finite(arrived.data())) {
            culprit = from_here ? concat_text(" from the start on, at ", name) : "";
        } else if (bad) {
            culprit = concat_text(" from ", name, " on");
        }
    };
    (void)explainer.explain(forward, request, false);
    return culprit.empty() ? ", though every node of the traversal sent finite values" : culprit;
}

}  // namespace

Explanation ExplainedForward::explain_all(Explainer& explainer, const ExplainRequest& request) const {
    BACKLIGHT_CHECK(keeps_ == Recording::Keeps::values || !explainer.reads_values(), explainer.name(),
                    ": reads values that this forward pass has not kept");
    BACKLIGHT_CHECK(from_.empty() || explainer.reads_from(request) == from_, explainer.name(),
                    ": reads in front of layer ", from_, ", where this forward pass was not recorded");
    if (request.neuron.empty() && logits_.data().has_data()) {  // else no op is to blame for what follows
        const int64_t bad = first_not_finite(logits_.data());
        BACKLIGHT_CHECK(bad < 0, explainer.name(), ": the logits of sample ", request.number(bad),
                        " are not finite, there is nothing to explain");
    }
    Explanation found = explainer.explain(*this, request, false);
    BACKLIGHT_CHECK(
        !request.parameters || !found.parameters.empty(), explainer.name(),
        ": found no relevance of parameters; LRP methods (lrp, every composite, crp, prp) give it, "
        "of the layers with weights between what is explained and where relevance is asked for");
    std::set<uint64_t> checked;  // what layers pass on as it is is one tensor, which is read once
    for (size_t i = 0; i < found.maps.size(); ++i) {
        found.maps[i] = found.maps[i].detach();
        if (!checked.insert(found.maps[i].data().storage_id()).second) {
            continue;
        }
        const int64_t bad = first_not_finite(found.maps[i].data());
        if (bad >= 0) {
            throw_error(concat_text(
                explainer.name(), ": the relevance of sample ", request.number(bad), " is not finite",
                i >= request.layers.size() || request.layers[i].empty() ? ""
                                                                        : " at layer " + request.layers[i],
                find_culprit(*this, explainer, request)));
        }
    }
    return found;
}

}  // namespace backlight
