#include "train/augmentation.h"

namespace backlight {

void Augmentation::note(const std::string& name, double value) {
    auto& [total, count] = metrics_[name];
    total += value;
    ++count;
}

std::map<std::string, double> Augmentation::take_metrics() {
    std::map<std::string, double> means;
    for (const auto& [name, sum] : metrics_) {
        means[name] = sum.first / static_cast<double>(sum.second);
    }
    metrics_.clear();
    return means;
}

std::map<std::string, Tensor> Augmentation::metrics_state() const {
    std::map<std::string, Tensor> state;
    for (const auto& [name, sum] : metrics_) {
        state[name] = Tensor::from(std::vector<double>{sum.first, static_cast<double>(sum.second)}, {2});
    }
    return state;
}

void Augmentation::restore_metrics(const std::map<std::string, Tensor>& state) {
    metrics_.clear();
    for (const auto& [name, sum] : state) {
        const auto values = sum.to_vector<double>();
        metrics_[name] = {values.at(0), static_cast<int64_t>(values.at(1))};
    }
}

}  // namespace backlight
