// The augmentation `prune`, for who wants to see each removal.
#pragma once

#include <functional>
#include <memory>

#include "augment/model/pruner.h"
#include "train/augmentation.h"

namespace backlight {

struct PruneSchedule {
    PruningConfig pruning;
    int64_t first = 1;         // epochs before the first removal
    int64_t every_epochs = 1;  // between removals; 0: all follow one another
};

/// `watch` is told of each removal, when the units have been masked, with the seconds that it took; may be
/// empty.
[[nodiscard]] std::unique_ptr<Augmentation> make_prune(
    const PruneSchedule& schedule, std::function<void(const Pruner& pruner, double seconds)> watch = {});

}  // namespace backlight
