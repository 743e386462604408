#include "augment/registry.h"

#include "core/error.h"

namespace backlight {

const std::vector<AugmentationEntry>& list_augmentations() {
    static const std::vector<AugmentationEntry> entries = {
        {"edda", "data", "faithfulness of explanations", "grad_cam, saliency, any map",
         "3 forward, 2 backward",
         "explainer=grad_cam, tau=0.5, p=0, mask=occlude|keep, fill=zero, target=label|predicted, "
         "background=uniform, control=none|shuffled",
         "Li et al., EDDA, 2021, algorithms 1 and 2", build_edda},
        {"cutout", "data", "accuracy", "none (control)", "1", "size=side/2", "DeVries and Taylor, 2017",
         build_cutout},
        {"cutmix", "data", "accuracy", "none (control)", "1", "p=0.5, alpha=1", "Yun et al., ICCV 2019",
         build_cutmix},
        {"mixup", "data", "accuracy", "none (control)", "1", "alpha=1", "Zhang et al., ICLR 2018",
         build_mixup},
        {"rrr", "loss", "reasoning", "input gradient of sum log p, or any differentiable method",
         "2 backward through a backward",
         "lambda=10, masks=auto|decoy|outside|all|shuffled|DIR, explainer=gradient, layer=L, "
         "scale=none|through|stop",
         "Ross et al., IJCAI 2017; survey Eq. 16 and 17", build_rrr},
        {"input_gradient", "loss", "robustness", "input gradient of the loss",
         "2 backward through a backward", "lambda=1, target=label|uniform", "Ross and Doshi-Velez, AAAI 2018",
         build_input_gradient},
        {"prune", "model", "efficiency", "LRP, DeepLIFT, gradients, or none (controls weight, random)",
         "none; a removal: 1 forward, 1 backward of the reference samples",
         "fraction=0.5, step=0.05, criterion=lrp_abs|lrp|weight|gradient|taylor|deeplift|random, "
         "composite=epsilon|zplus_all, ranking=global|layer, tied=mask|leave, samples_per_class=10, first=1, "
         "every_epochs=1",
         "Yeom et al., Pattern Recognition 2021; Sabih et al., 2020; survey section 2.3", build_prune},
    };
    return entries;
}

std::unique_ptr<Augmentation> build_augmentation(const std::string& text) {
    const Spec spec = parse_spec(text);
    const Options options(spec);
    std::vector<std::string> known;
    for (const AugmentationEntry& entry : list_augmentations()) {
        known.push_back(entry.name);
        if (entry.name == spec.name) {
            std::unique_ptr<Augmentation> system = entry.build(options);
            const int64_t start_epoch = options.get_within("start_epoch", 0, 0, 1'000'000);
            system->schedule(text, start_epoch, options.get_within("every", 1, 1, 1'000'000));
            options.finish();
            return system;
        }
    }
    throw_error(unknown_name("augmentation", spec.name, known) + " (backlight augment --list)");
}

}  // namespace backlight
