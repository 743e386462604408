#include "train/weight_average.h"

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {

void WeightAverage::update(const Module& net) {
    const NoGrad off;
    for (const Parameter& parameter : net.parameters()) {
        Tensor& average = average_[parameter.name];
        const Variable weight = parameter.value.detach();
        average = average.defined() ? (Variable(average) * decay_ + weight * (1 - decay_)).data()
                                    : weight.data().clone();
    }
}

void WeightAverage::with(const Module& net, const std::function<void()>& use) const {
    std::map<std::string, Tensor> own;
    for (const Parameter& parameter : net.parameters()) {
        own[parameter.name] = parameter.value.data().clone();
    }
    const auto put = [&](const std::map<std::string, Tensor>& weights) {
        for (const Parameter& parameter : net.parameters()) {
            const auto found = weights.find(parameter.name);
            if (found != weights.end()) {
                Tensor weight = parameter.value.data();
                weight.copy_from(found->second);
            }
        }
    };
    put(average_);
    try {
        use();
    } catch (...) {
        put(own);
        throw;
    }
    put(own);
}

void WeightAverage::restore(const Module& net, const std::map<std::string, Tensor>& state) {
    for (const Parameter& parameter : net.parameters()) {
        const auto found = state.find(parameter.name);
        BACKLIGHT_CHECK(
            state.empty() || (found != state.end() && found->second.shape() == parameter.value.shape()),
            "ema: the saved average does not fit ", parameter.name);
    }
    average_ = state;
}

}  // namespace backlight
