// Which of oneDNN's implementations computes a convolution: a fixed rule, or what was measured and recorded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/backend.h"

namespace backlight::cpu {

enum class ConvDirection : uint8_t { forward, backward_data, backward_weights };

enum class ConvChoice : uint8_t {
    nhwc,        // activations as they lie
    any_layout,  // activations reordered into the format that the library likes best, and back
    winograd,    // Winograd's algorithm, where the library has it for this shape
};

/// Everything that a choice depends on.
struct ConvShape {
    ConvDirection direction = ConvDirection::forward;
    int64_t batch = 0, in_channels = 0, height = 0, width = 0;
    int64_t out_channels = 0, out_height = 0, out_width = 0;
    int64_t kernel_height = 0, kernel_width = 0;
    Conv2dAttrs attrs;
    DType type = DType::f32;  // of the images; weights are float
};

/// The choice without any measurement; see docs/onednn.md for the measurements behind it.
[[nodiscard]] ConvChoice fixed_rule(const ConvShape& shape);

/// What is recorded for the shape, if anything.
[[nodiscard]] std::optional<ConvChoice> recorded_choice(const ConvShape& shape);
void record_choice(const ConvShape& shape, ConvChoice choice);
[[nodiscard]] bool tuning_enabled();
/// Changes whenever choices made before may be out of date.
[[nodiscard]] uint64_t tuning_generation();

}  // namespace backlight::cpu
