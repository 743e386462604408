// One line an experiment.
#include "experiments/reproductions/all.h"

namespace backlight {

const std::vector<ReproductionEntry>& list_reproductions() {
    static const std::vector<ReproductionEntry> entries = {
        {"toy1", "Toy experiment 1: features times a mask of their relevance",
         "training with the mask overfits less: the test loss turns later and ends below half of the "
         "controls'",
         "no mask, a random mask, the same mask at other features; single updates; a mask that tells the "
         "label",
         "Weber et al., 2022, section 2.2, Eq. 1 and 22, Fig. 1A", 10, false, "1 minute", reproduce_toy1},
        {"toy2", "Toy experiment 2: dropout of the most relevant units",
         "dropping what the network relies on most delays overfitting and takes relevance from a misleading "
         "feature",
         "no dropout, as many random units, the least relevant units",
         "Weber et al., 2022, section 2.2 and appendix A, Fig. 1B", 40, false, "1 minute", reproduce_toy2},
        {"toy3", "Toy experiment 3: relevance in the loss",
         "a penalty on the relevance of the misleading feature turns the boundary to the feature that holds",
         "the same training without the penalty",
         "Weber et al., 2022, section 2.2, Eq. 2, 3, 23, 24, Fig. 1C", 5, false, "a few seconds",
         reproduce_toy3},
        {"rrr", "Right for the right reasons: marked decoys",
         "marking the decoys as irrelevant raises accuracy where they say nothing",
         "no masks; as many marks at random places",
         "Ross et al., IJCAI 2017; Weber et al., 2022, Eq. 16, 17", 5, true, "15 seconds", reproduce_rrr},
        {"different_reasons", "Find another explanation: a sequence of networks with different reasons",
         "a second network that may not look where the first did finds the other rule",
         "a second network from another seed", "Ross et al., IJCAI 2017, section 3.2", 5, false, "10 seconds",
         reproduce_different_reasons},
        {"input_gradient", "Input-gradient regularisation and adversarial examples",
         "a penalty on the gradient of the loss makes the network robust against FGSM at equal clean "
         "accuracy",
         "no penalty; weight decay", "Ross and Doshi-Velez, AAAI 2018", 5, true, "1 minute",
         reproduce_input_gradient},
        {"imbalance", "Unequal classes: explanations choose what the next mini-epoch draws",
         "drawing by explanations balances the classes, and more than drawing them equally often",
         "the data as it is; its inverted distribution; every class equally often",
         "Weber, 2020; Weber et al., 2022, sections 3.1 and 4.2", 5, true, "5 minutes", reproduce_imbalance},
        {"loss_scaling", "Unequal classes: explanations weigh the loss",
         "factors from the change of explanations make the classes more equal",
         "no factors; inverse frequency; shuffled factors", "Weber, 2020; Weber et al., 2022, section 3.3",
         10, true, "3 minutes", reproduce_loss_scaling},
        {"edda", "EDDA: masks from explanations as data",
         "training on what the explanation marks makes the score depend on it more",
         "no augmentation; masks of other samples in other places; Cutout, CutMix, MixUp",
         "Li et al., EDDA, 2021", 4, true, "8 minutes", reproduce_edda},
        {"excitation_dropout", "Excitation dropout: what carries the evidence is dropped",
         "the network uses more of its units and loses less when units are removed",
         "no dropout, random dropout at 0.5, the same drop probabilities at other units",
         "Zunino et al., IJCV 2021", 5, false, "1 minute", reproduce_excitation_dropout},
        {"few_shot", "Explanation-guided few-shot training",
         "relevance weights on the features raise accuracy on novel classes of another domain",
         "no weights, the plain loss with the same weight, the weights at other channels",
         "Sun et al., ICPR 2020; Weber et al., 2022, Eq. 13, 14, example 1", 10, false, "5 minutes",
         reproduce_few_shot},
        {"weight_lr", "Relevance as weight-wise learning rates",
         "weights that carry relevance learn faster, and the network with them",
         "SGD at every learning rate; random factors; the same factors at random weights",
         "Lee et al., ICTC 2019; Weber et al., 2022, Eq. 20, 21", 5, false, "1 minute", reproduce_weight_lr},
        {"gradient_mask", "Masks on feature gradients",
         "filters that learn inside the object, or where an explanation is strong, rely less on a telling "
         "colour",
         "no mask; the mask's mean everywhere; the same mask at random places; a random mask",
         "Weber et al., 2022, Eq. 7; the experiment is ours", 5, false, "2 minutes", reproduce_gradient_mask},
        {"pruning_toys", "Pruning by explaining, points in the plane, no fine-tuning",
         "units without relevance are removed at less cost than by gradient or Taylor criteria",
         "gradient, taylor, weight and random criteria", "Yeom et al., Pattern Recognition 2021, section 4.1",
         20, false, "5 minutes", reproduce_pruning_toys},
        {"pruning", "Pruning by explaining: filters and neurons of a convolutional network",
         "without 30% of the units by relevance the accuracy stays; with training between steps without 70%",
         "taylor, gradient, weight and random criteria; the whole network",
         "Yeom et al., Pattern Recognition 2021; Sabih et al., 2020", 6, true, "5 minutes",
         reproduce_pruning},
        {"pruning_deeplift", "Pruning by DeepLIFT contributions: neurons of a perceptron",
         "the same share of each layer costs less accuracy by contribution than at random, and as much as by "
         "magnitude",
         "weight and random criteria; DeepLIFT against zeros; the whole network",
         "Sabih et al., arXiv 2008.09072, 2020", 20, true, "10 seconds", reproduce_pruning_deeplift},
    };
    return entries;
}

}  // namespace backlight
