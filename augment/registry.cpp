#include "augment/registry.h"

#include "core/error.h"

namespace backlight {

const std::vector<AugmentationEntry>& list_augmentations() {
    static const std::vector<AugmentationEntry> entries = {
        {"imbalance", "data", "balance of classes", "any method, after each mini-epoch",
         "2 or 3 passes of 20 samples a class, once a mini-epoch",
         "measure=entropy|histogram|mse, explainer=epsilon_plus(start=one), absolute=auto, temperature=1, "
         "standardize=false, "
         "channels=all|sum, relative=false, representatives=20, history=5, control=none|data|uniform, "
         "invert=inverse|complement",
         "Weber, 2020; survey sections 3.1 and 4.2", build_imbalance},
        {"edda", "data", "faithfulness of explanations", "grad_cam, saliency, any map",
         "3 forward, 2 backward",
         "explainer=grad_cam, tau=0.5, mask=occlude|keep, fill=zero, target=label|predicted, p=0, "
         "background=uniform|extra_class, label_mode=single|full, max_added_per_image=N, "
         "control=none|shuffled",
         "Li et al., EDDA, 2021, algorithms 1 to 3", build_edda},
        {"cutout", "data", "accuracy", "none (control)", "1", "size=side/2", "DeVries and Taylor, 2017",
         build_cutout},
        {"cutmix", "data", "accuracy", "none (control)", "1", "p=0.5, alpha=1", "Yun et al., ICCV 2019",
         build_cutmix},
        {"mixup", "data", "accuracy", "none (control)", "1", "p=1, alpha=1", "Zhang et al., ICLR 2018",
         build_mixup},
        {"attention", "features", "generalisation", "epsilon, any map of the layer", "2 forward, 2 backward",
         "layer=L, explainer=epsilon(start=one), strength=1, target=label|predicted, "
         "mask=relevance|shuffled|random",
         "Weber et al., Beyond explaining, 2022, Eq. 1 and 22", build_attention},
        {"explanation_dropout", "features", "generalisation, reasoning", "epsilon, any map of the layer",
         "2 forward, 2 backward",
         "layer=L, p=0.25, explainer=epsilon(start=one), target=label|predicted, units=location|channel, "
         "rescale=count|per_sample|per_batch, rounding=stochastic|down, lowest=false, decay=false",
         "Weber et al., Beyond explaining, 2022, section 2.2", build_explanation_dropout},
        {"excitation_dropout", "features", "generalisation, use of neurons", "excitation_backprop",
         "2 forward, 2 backward",
         "layer=L, p=0.5, explainer=excitation_backprop, target=label|predicted, units=location|channel, "
         "scale=realised|inverse, control=none|shuffled",
         "Zunino et al., Excitation Dropout, IJCV 2021", build_excitation_dropout},
        {"random_dropout", "features", "generalisation", "none (control)", "1",
         "layer=L, p=0.5, units=location|channel, exact=false", "Srivastava et al., JMLR 2014",
         build_random_dropout},
        {"class_factors", "loss", "balance of classes", "any method, after each mini-epoch",
         "2 or 3 passes of 20 samples a class, once a mini-epoch",
         "measure=entropy|histogram|mse, rescale=(of mse), temperature=1, "
         "control=none|inverse|balanced|shuffled; "
         "explainer, absolute, standardize, channels, relative, representatives, history as imbalance",
         "Weber, 2020; survey section 3.3", build_class_factors},
        {"rrr", "loss", "reasoning", "input gradient of sum log p, or any differentiable method",
         "2 backward through a backward",
         "lambda=10, masks=auto|decoy|outside|all|shuffled|DIR, explainer=sum_log_prob, layer=L, "
         "relative=false, scale=none|through|stop, earlier=WEIGHTS:WEIGHTS, cutoff=0.67",
         "Ross et al., IJCAI 2017; survey Eq. 16 and 17", build_rrr},
        {"penalty", "loss", "what the penalty says", "any differentiable method",
         "2 backward through a backward",
         "form=l1|l2|entropy|total_variation, lambda=1, explainer=gradient, layer=L, relative=false",
         "survey Eq. 6 and 18", build_penalty},
        {"input_gradient", "loss", "robustness", "input gradient of the loss",
         "2 backward through a backward", "lambda=1, target=label|uniform", "Ross and Doshi-Velez, AAAI 2018",
         build_input_gradient},
        {"weight_lrp", "gradients", "convergence", "LRP-epsilon, any method with relevance of layers",
         "2 forward, 2 backward",
         "reading=outer|outer_sqrt|weight_lrp|hadamard|dot, normalise=mean1|sum, cap=10, kappa=1, warmup=1, "
         "layers=*, "
         "last=false, on_step=false (true with optimisers that scale gradients away), "
         "explainer=epsilon(epsilon=0.01, start=one), "
         "control=none|random|shuffled",
         "Lee et al., ICTC 2019; survey Eq. 20 and 21", build_weight_lrp},
        {"gradient_mask", "gradients", "reasoning, accuracy", "saliency, any method with a map at the layer",
         "2 forward, 2 backward",
         "layer=L, mode=add|multiply, lambda=0.2, mask=explanation|object|decoy, explainer=saliency, "
         "target=label|predicted, control=none|constant|random|shuffled",
         "survey Eq. 7 and 19", build_gradient_mask},
        {"prune", "model", "efficiency", "LRP, DeepLIFT, gradients, or none (controls weight, random)",
         "none; a removal: 1 forward, 1 backward of the reference samples",
         "fraction=0.5, step=0.05, "
         "criterion=lrp_abs|lrp|weight|gradient|taylor|deeplift|deeplift_zero|random, "
         "composite=epsilon|zplus_all, ranking=criterion|global|layer, tied=mask|leave, samples_per_class=10, first=1, "
         "every_epochs=1",
         "Yeom et al., Pattern Recognition 2021; Sabih et al., 2020; survey section 2.3", build_prune},
    };
    return entries;
}

const std::vector<AugmentationEntry>& list_own_loops() {
    static const std::vector<AugmentationEntry> entries = {
        {"few_shot", "features", "accuracy on classes never seen", "LRP-epsilon of RelationNet",
         "3 forward, 2 backward of each episode's pairs",
         "backlight reproduce few_shot; a program calls train_episodes",
         "Sun et al., ICPR 2020; survey Eq. 13 and 14", nullptr},
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
    for (const AugmentationEntry& entry : list_own_loops()) {
        BACKLIGHT_CHECK(entry.name != spec.name, entry.name,
                        " has a training loop of its own: ", entry.options);
    }
    throw_error(unknown_name("augmentation", spec.name, known) + " (backlight augment --list)");
}

}  // namespace backlight
