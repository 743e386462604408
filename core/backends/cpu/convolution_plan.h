// A convolution as oneDNN computes it: the primitive, and how our tensors become its operands.
#pragma once

#include <optional>
#include <unordered_map>

#include "core/backends/cpu/convolution_choice.h"
#include "core/backends/cpu/onednn.h"

namespace backlight::cpu {

/// One tensor of a convolution: as it lies, as the primitive wants it, and the way from one to the other.
struct ConvOperand {
    dnnl::memory ours, theirs;
    std::optional<dnnl::reorder> reorder;  // none: the primitive works on our memory
    size_t scratch = 0;

    void set(const dnnl::memory::desc& lies, const dnnl::memory::desc& wanted, bool is_output,
             ScratchLayout& layout) {
        ours = dnnl::memory(lies, dnnl_engine(), nullptr);
        if (lies == wanted) {
            theirs = ours;  // the same handle: setting one sets the other
            return;
        }
        theirs = dnnl::memory(wanted, dnnl_engine(), nullptr);
        reorder = is_output ? dnnl::reorder(theirs, ours) : dnnl::reorder(ours, theirs);
        scratch = layout.add(wanted.get_size());
    }
    void bind(const void* data, std::byte* scratch_memory) {
        ours.set_data_handle(const_cast<void*>(data));
        if (reorder) {
            theirs.set_data_handle(scratch_memory + scratch);
        }
    }
    void bring_in() {
        if (reorder) {
            reorder->execute(dnnl_stream(), ours, theirs);
        }
    }
    void bring_out() {
        if (reorder) {
            reorder->execute(dnnl_stream(), theirs, ours);
        }
    }
};

struct ConvPlan {
    ConvShape shape;
    dnnl::primitive primitive;
    ConvOperand image, weight, output;  // x, w, y in the forward direction's roles
    dnnl::memory bias, residual, scratchpad;
    std::unordered_map<int, dnnl::memory> arguments;
    size_t scratchpad_offset = 0;
    size_t scratch_bytes = 0;
};

/// What a plan is run on, in the forward direction's roles.
struct ConvBuffers {
    const void* image = nullptr;
    const void* weight = nullptr;
    const void* bias = nullptr;
    const void* output = nullptr;
    const void* residual = nullptr;
    uint64_t weight_storage = 0, weight_version = 0;
};

/// What a forward convolution does besides multiplying.
struct ConvExtras {
    bool bias = false, residual = false;
    Activation activation = Activation::none;
};

/// The plan for a shape; empty when the library has no such implementation.
[[nodiscard]] std::optional<ConvPlan> make_plan(const ConvShape& shape, ConvChoice choice,
                                                const ConvExtras& extras);

/// Computes the convolution. Weights that have to be reordered go through the weight cache.
void run(ConvPlan& plan, const ConvBuffers& buffers);

}  // namespace backlight::cpu
