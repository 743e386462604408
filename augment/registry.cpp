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
         "lambda=10, masks=auto|decoy|outside|all|shuffled|DIR, explainer=sum_log_prob, layer=L, "
         "scale=none|through|stop, earlier=WEIGHTS:WEIGHTS, cutoff=0.67",
         "Ross et al., IJCAI 2017; survey Eq. 16 and 17", build_rrr},
        {"penalty", "loss", "what the penalty says", "any differentiable method",
         "2 backward through a backward",
         "form=l1|l2|entropy|total_variation, lambda=1, explainer=gradient, layer=L", "survey Eq. 6 and 18",
         build_penalty},
        {"input_gradient", "loss", "robustness", "input gradient of the loss",
         "2 backward through a backward", "lambda=1, target=label|uniform", "Ross and Doshi-Velez, AAAI 2018",
         build_input_gradient},
        {"weight_lrp", "gradients", "convergence", "LRP-epsilon, any method with relevance of layers",
         "2 forward, 2 backward",
         "reading=outer|outer_sqrt|weight_lrp|hadamard|dot, normalise=mean1|sum, cap=10, kappa=1, warmup=1, "
         "layers=*, "
         "last=false, on_step=false (true with Adam), explainer=epsilon(epsilon=0.01), "
         "control=none|random|shuffled",
         "Lee et al., ICTC 2019; survey Eq. 20 and 21", build_weight_lrp},
        {"gradient_mask", "gradients", "reasoning, accuracy", "saliency, any method with a map at the layer",
         "2 forward, 2 backward",
         "layer=L, mode=add|multiply, lambda=0.2, mask=explanation|object|decoy, explainer=saliency, "
         "target=label|predicted, control=none|constant|random|shuffled",
         "survey Eq. 7 and 19", build_gradient_mask},
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
