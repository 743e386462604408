#include "train/augmentations.h"

#include <set>

#include "core/error.h"

namespace backlight {

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

AsTested::AsTested(const Augmentations& systems, const TrainingRun& run) : systems_(systems), run_(run) {
    for (const auto& system : systems_) {
        system->begin_test(run_);
    }
}

AsTested::~AsTested() {
    for (const auto& system : systems_) {
        system->end_test(run_);
    }
}

std::map<std::string, Tensor> state_of(const Augmentations& systems) {
    std::map<std::string, Tensor> all;
    for (size_t i = 0; i < systems.size(); ++i) {
        for (const auto& [name, value] : systems[i]->state()) {
            all[concat_text(i, ".state.", name)] = value;
        }
        for (const auto& [name, value] : systems[i]->metrics_state()) {
            all[concat_text(i, ".metrics.", name)] = value;
        }
    }
    return all;
}

void restore(const Augmentations& systems, const std::map<std::string, Tensor>& state) {
    for (size_t i = 0; i < systems.size(); ++i) {
        const auto part = [&](const std::string& kind) {
            std::map<std::string, Tensor> own;
            const std::string prefix = concat_text(i, '.', kind, '.');
            for (const auto& [name, value] : state) {
                if (name.starts_with(prefix)) {
                    own[name.substr(prefix.size())] = value;
                }
            }
            return own;
        };
        systems[i]->restore(part("state"));
        systems[i]->restore_metrics(part("metrics"));
    }
}

StepBegin::StepBegin(Module& net, const Augmentations& systems) {
    for (const Buffer& buffer : net.buffers()) {
        buffers_.push_back(buffer.value->clone());
    }
    for (const auto& system : systems) {
        metrics_.push_back(system->metrics_state());
    }
}

void StepBegin::bring_back(Module& net, const Augmentations& systems) const {
    const std::vector<Buffer> buffers = net.buffers();
    for (size_t i = 0; i < buffers.size(); ++i) {
        buffers[i].value->copy_from(buffers_.at(i));
    }
    for (size_t i = 0; i < systems.size(); ++i) {
        systems[i]->restore_metrics(metrics_.at(i));
    }
}

}  // namespace backlight
