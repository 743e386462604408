#include "layers/state.h"

#include <array>
#include <cmath>
#include <vector>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/backend.h"
#include "core/error.h"

namespace backlight {
namespace {

Shape file_shape(const Shape& shape, const FileLayout& layout) {
    return layout.kind == FileLayout::Kind::image_kernel ? Shape{shape[0], shape[3], shape[1], shape[2]}
                                                         : shape;
}

/// Writes `value`, in the layout of files, into `target`.
void load_into(Tensor target, const Tensor& value, const FileLayout& layout) {
    if (layout.kind == FileLayout::Kind::same) {
        target.copy_from(value);
        return;
    }
    const Shape& shape = value.shape();
    const Shape& image = layout.image;
    const bool kernel = layout.kind == FileLayout::Kind::image_kernel;
    const Tensor from = kernel ? value : value.reshape({shape[0], image[2], image[0], image[1]});
    Tensor into = kernel ? target : target.reshape({shape[0], image[0], image[1], image[2]});
    into.backend().permute(from.to(into.device()), std::array{0, 2, 3, 1}, into);
    target.mark_modified();
}

bool all_finite(const Tensor& value) {
    const NoGrad off;
    if (!is_floating(value.dtype()) || std::isfinite(sum(Variable(value)).item())) {
        return true;  // one that is not would have made the sum so
    }
    return sum(Variable(value) * 0.0).item() == 0.0;  // the sum may overflow; inf * 0 is NaN
}

bool has_negative(const Tensor& value) {
    const NoGrad off;
    return sum(Variable(mask(UnaryOp::is_negative, value))).item() != 0.0;
}

struct Slot {
    FileLayout layout;
    Tensor value;           // its storage is written
    bool optional = false;  // files of old PyTorch versions lack it
};

std::map<std::string, Slot> slots_of(Module& module) {
    std::map<std::string, Slot> slots;
    for (const Parameter& parameter : module.parameters()) {
        slots[parameter.name] = {parameter.layout, parameter.value.data(), false};
    }
    for (const Buffer& buffer : module.buffers()) {
        slots[buffer.name] = {{}, *buffer.value, buffer.name.ends_with("num_batches_tracked")};
    }
    return slots;
}

void list(std::string& text, std::string_view what, const std::vector<std::string>& names) {
    constexpr size_t kShown = 12;
    if (names.empty()) {
        return;
    }
    text += concat_text("; ", what, " ");
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
        text += (i == 0 ? "" : ", ") + names[i];
    }
    if (names.size() > kShown) {
        text += concat_text(" and ", names.size() - kShown, " more");
    }
}

}  // namespace

Tensor to_file_layout(const Tensor& value, const FileLayout& layout) {
    const NoGrad off;
    switch (layout.kind) {
        case FileLayout::Kind::same:
            return value.clone();
        case FileLayout::Kind::image_kernel:
            return permute(value, {0, 3, 1, 2}).data().clone();
        case FileLayout::Kind::flattened_image: {  // (O, H W C) -> (O, C H W)
            const Shape& image = layout.image;
            const Variable images = reshape(value, Shape{value.dim(0), image[0], image[1], image[2]});
            return permute(images, {0, 3, 1, 2}).data().clone().reshape(value.shape());
        }
    }
    return {};
}

StateDict state_dict(Module& module) {
    StateDict state;
    for (const auto& [name, slot] : slots_of(module)) {
        state[name] = to_file_layout(slot.value, slot.layout);
    }
    return state;
}

void load_state_dict(Module& module, const StateDict& state, const std::string& where) {
    auto slots = slots_of(module);
    std::vector<std::string> missing, unexpected, misshapen, not_finite, negative;
    for (const auto& [name, slot] : slots) {
        const auto found = state.find(name);
        if (found == state.end()) {
            if (!slot.optional) {
                missing.push_back(name);
            }
            continue;
        }
        const Shape expected = file_shape(slot.value.shape(), slot.layout);
        const Tensor& value = found->second;
        if (value.shape() != expected || is_floating(value.dtype()) != is_floating(slot.value.dtype())) {
            misshapen.push_back(concat_text(name, " (expected ", slot.value.dtype(), ' ', expected, ", got ",
                                            value.dtype(), ' ', value.shape(), ')'));
        } else if (!all_finite(value.to(slot.value.dtype()))) {  // also what overflows the model's type
            not_finite.push_back(name);
        } else if (name.ends_with("running_var") && has_negative(value)) {
            negative.push_back(name);
        }
    }
    for (const auto& [name, value] : state) {
        if (!slots.contains(name)) {
            unexpected.push_back(name);
        }
    }
    std::string text;
    list(text, "missing:", missing);
    list(text, "unexpected:", unexpected);
    list(text, "misshapen:", misshapen);
    list(text, "with values that are not finite:", not_finite);
    list(text, "with negative variances:", negative);
    BACKLIGHT_CHECK(text.empty(), where, ": the weights do not fit the model", text);
    for (auto& [name, slot] : slots) {
        const auto found = state.find(name);
        if (found != state.end()) {
            load_into(slot.value, found->second.to(slot.value.dtype()), slot.layout);
        }
    }
}

}  // namespace backlight
