// The stamp: an artifact that somebody put on pictures. The 3x3 block in the top left corner turns yellow.
#pragma once

#include <memory>
#include <span>

#include "datasets/in_memory.h"

namespace backlight {

/// A copy of `set` in memory, with the images of `indices` stamped ((1, 1, 0); one channel: 1). Column
/// "stamped" tells which; the decoy mask shows the place on every image. Masks and columns are kept. Throws
/// Error unless the samples are images of at least 3x3 without normalisation.
[[nodiscard]] std::shared_ptr<InMemoryDataset> stamp(const Dataset& set, std::span<const int64_t> indices);
/// Every image.
[[nodiscard]] std::shared_ptr<InMemoryDataset> stamp_all(const Dataset& set);

}  // namespace backlight
