// One line an experiment.
#include "experiments/reproductions/all.h"

namespace backlight {

const std::vector<ReproductionEntry>& list_reproductions() {
    static const std::vector<ReproductionEntry> entries = {
        {"toy3", "Toy experiment 3: relevance in the loss",
         "a penalty on the relevance of the misleading feature turns the boundary to the feature that holds",
         "the same training without the penalty", "Weber et al., 2022, section 2.2, Eq. 2, 3, 23, 24, Fig. 1C", 5, false,
         "a few seconds", reproduce_toy3},
    };
    return entries;
}

}  // namespace backlight
