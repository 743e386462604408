#include "train/augmentation.h"

#include <set>

#include "core/error.h"

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

void check_claims(const Augmentations& systems, std::map<std::string, std::string> taken) {
    std::set<std::string> specs;
    for (const auto& system : systems) {
        BACKLIGHT_CHECK(specs.insert(system->spec()).second, "augment: ", system->spec(), " is given twice");
        for (const std::string& claim : system->claims()) {
            const auto [other, first] = taken.emplace(claim, system->spec());
            BACKLIGHT_CHECK(first, "augment: ", other->second, " and ", system->spec(), " both replace ",
                            claim, "; a run takes one of them");
        }
    }
    for (const auto& system : systems) {
        for (const std::string& needed : system->relies_on()) {
            const auto other = taken.find(needed);
            BACKLIGHT_CHECK(other == taken.end(), "augment: ", other->second, " replaces ", needed,
                            ", which ", system->spec(), " reads; a run takes one of them");
        }
    }
}

FeatureHooks::FeatureHooks(const std::vector<Augmentation*>& systems, TrainingStep& step) {
    for (Augmentation* system : systems) {
        for (const std::string& layer : system->feature_layers()) {
            Module& module = step.net().at(layer);
            const int id =
                module.add_hook([system, layer, &step](Module&, const Variable&, const Variable& output) {
                    return system->change_features(step, layer, output);
                });
            installed_.emplace_back(&module, id);
        }
    }
}

FeatureHooks::~FeatureHooks() {
    for (const auto& [module, id] : installed_) {
        module->remove_hook(id);
    }
}

}  // namespace backlight
