#include "explain/start.h"

#include <algorithm>
#include <charconv>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {

const std::vector<std::string>& list_starts() {
    static const std::vector<std::string> names = {"one",          "logit",   "prob",      "contrastive",
                                                   "sum-log-prob", "logodds", "relu-logit"};
    return names;
}

Start parse_start(const std::string& name) {
    const auto& names = list_starts();
    const auto found = std::find(names.begin(), names.end(), name);
    BACKLIGHT_CHECK(found != names.end(), unknown_name("start", name, names));
    return static_cast<Start>(found - names.begin());
}

std::string name_of(Start start) { return list_starts()[static_cast<size_t>(start)]; }

Variable start_values(Start start, const Variable& logits, const std::vector<int64_t>& targets) {
    BACKLIGHT_CHECK(logits.rank() == 2 && logits.dim(0) == static_cast<int64_t>(targets.size()),
                    "start: expected logits (N,K) and N targets, got ", logits.shape(), " and ",
                    targets.size());
    const int64_t classes = logits.dim(1);
    for (const int64_t target : targets) {
        BACKLIGHT_CHECK(target >= 0 && target < classes, "target ", target,
                        " is out of range: the model has classes 0..", classes - 1);
    }
    const Tensor index = Tensor::from(targets, {logits.dim(0)});
    const Variable ones = Tensor::ones({logits.dim(0)}, logits.dtype(), logits.data().device());
    const Variable at_target = scatter_last(ones, index, classes);
    switch (start) {
        case Start::one:
            return at_target;
        case Start::logit:
            return logits * at_target;
        case Start::prob:
            return softmax(logits) * at_target;
        case Start::contrastive: {
            const Variable p = softmax(logits);
            const Variable f_t = sum(logits * at_target, {1}, true);
            const Variable p_t = sum(p * at_target, {1}, true);
            const Variable others = (1.0 - at_target) * p / clamp(1.0 - p_t, 1e-12, 1.0);
            return f_t * (at_target - others);
        }
        case Start::sum_log_prob:
            return 1.0 - softmax(logits) * static_cast<double>(classes);
        case Start::logodds: {
            const Variable p = clamp(softmax(logits), 1e-4, 1.0 - 1e-4);
            return log(p * static_cast<double>(std::max<int64_t>(classes - 1, 1)) / (1.0 - p)) * at_target;
        }
        case Start::relu_logit:
            return positive_part(logits) * at_target;
    }
    return {};
}

Neuron parse_neuron(const std::string& text) {
    Neuron neuron;
    size_t end = text.size();
    while (true) {  // numbers from the end on: the layer's name may hold anything but them
        const size_t colon = text.rfind(':', end - 1);
        int64_t value = 0;
        if (colon == std::string::npos || colon + 1 == end) {
            break;
        }
        const auto [rest, error] = std::from_chars(text.data() + colon + 1, text.data() + end, value);
        if (error != std::errc() || rest != text.data() + end || value < 0) {
            break;
        }
        neuron.index.insert(neuron.index.begin(), value);
        end = colon;
        if (colon == 0) {
            break;
        }
    }
    neuron.layer = text.substr(0, end);
    BACKLIGHT_CHECK(!neuron.layer.empty() && !neuron.index.empty(),
                    "neuron: expected LAYER:channel, LAYER:row:column:channel or LAYER:index, got \"", text,
                    "\"");
    return neuron;
}

Tensor neuron_mask(const Neuron& neuron, const Tensor& output) {
    const Shape& shape = output.shape();
    const auto given = static_cast<int>(neuron.index.size());
    BACKLIGHT_CHECK(given == 1 || given == shape.rank() - 1, "neuron: layer ", neuron.layer, " has outputs ",
                    shape, ": give its channel, or all of ", shape.rank() - 1, " indices");
    std::vector<double> one(static_cast<size_t>(shape.numel() / std::max<int64_t>(shape[0], 1)), 0.0);
    std::vector<int64_t> first(static_cast<size_t>(shape.rank() - 1), -1);  // -1: every position
    std::copy_backward(neuron.index.begin(), neuron.index.end(), first.end());
    for (size_t axis = 0; axis < first.size(); ++axis) {
        BACKLIGHT_CHECK(first[axis] < shape[static_cast<int>(axis) + 1], "neuron: ", first[axis],
                        " is out of range in layer ", neuron.layer, " with outputs ", shape);
    }
    for (size_t i = 0; i < one.size(); ++i) {
        auto rest = static_cast<int64_t>(i);
        bool inside = true;
        for (int axis = shape.rank() - 1; axis >= 1; --axis) {
            const int64_t wanted = first[static_cast<size_t>(axis) - 1];
            inside = inside && (wanted < 0 || rest % shape[axis] == wanted);
            rest /= shape[axis];
        }
        one[i] = inside ? 1 : 0;
    }
    const Tensor sample = Tensor::from(one, shape.with(0, 1), output.device()).to(output.dtype());
    return broadcast_to(Variable(sample), shape).data();
}

}  // namespace backlight
