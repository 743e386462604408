#include "explain/start.h"

#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {

const std::vector<std::string>& list_starts() {
    static const std::vector<std::string> names = {"one",         "logit",        "prob",
                                                   "contrastive", "sum-log-prob", "logodds"};
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
    }
    return {};
}

}  // namespace backlight
