// One line an experiment.
#include "experiments/reproductions/all.h"

namespace backlight {

const std::vector<ReproductionEntry>& list_reproductions() {
    static const std::vector<ReproductionEntry> entries = {
        {"toy3", "Toy experiment 3: relevance in the loss",
         "a penalty on the relevance of the misleading feature turns the boundary to the feature that holds",
         "the same training without the penalty",
         "Weber et al., 2022, section 2.2, Eq. 2, 3, 23, 24, Fig. 1C", 5, false, "a few seconds",
         reproduce_toy3},
        {"rrr", "Right for the right reasons: marked decoys",
         "marking the decoys as irrelevant raises accuracy where they say nothing",
         "no masks; as many marks at random places",
         "Ross et al., IJCAI 2017; Weber et al., 2022, Eq. 16, 17", 5, false, "2 minutes", reproduce_rrr},
        {"different_reasons", "Find another explanation: a sequence of networks with different reasons",
         "a second network that may not look where the first did finds the other rule",
         "a second network from another seed", "Ross et al., IJCAI 2017, section 3.2", 5, false, "3 minutes",
         reproduce_different_reasons},
        {"input_gradient", "Input-gradient regularisation and adversarial examples",
         "a penalty on the gradient of the loss makes the network robust against FGSM at equal clean "
         "accuracy",
         "no penalty; weight decay", "Ross and Doshi-Velez, AAAI 2018", 5, false, "3 minutes",
         reproduce_input_gradient},
        {"weight_lr", "Relevance as weight-wise learning rates",
         "weights that carry relevance learn faster, and the network with them",
         "SGD at every learning rate; random factors; the same factors at random weights",
         "Lee et al., ICTC 2019; Weber et al., 2022, Eq. 20, 21", 5, false, "5 minutes", reproduce_weight_lr},
        {"gradient_mask", "Masks on feature gradients",
         "filters that learn inside the object, or where an explanation is strong, rely less on a telling "
         "colour",
         "no mask; the mask's mean everywhere; the same mask at random places; a random mask",
         "Weber et al., 2022, Eq. 7; the experiment is ours", 5, false, "3 minutes", reproduce_gradient_mask},
    };
    return entries;
}

}  // namespace backlight
