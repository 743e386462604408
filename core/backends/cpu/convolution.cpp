// The three products of a convolution (core/backends/reference/convolution.cpp has their formulas) by oneDNN.
// Images lie in nhwc; the library names their axes n, c, h, w whatever the layout. Our weights (O,Kh,Kw,I) are its
// `ohwi`, with groups its `gohwi`. The library picks the format of the weights and they are reordered into it.
#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include <omp.h>

#include "core/backends/buffer.h"
#include "core/backends/cpu/convolution_choice.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/onednn.h"

namespace backlight {
namespace {

using cpu::ConvChoice;
using cpu::ConvDirection;
using cpu::ConvShape;
using dnnl::memory;
using Tag = memory::format_tag;

constexpr size_t kMaxPlans = 512;

// One tensor of a convolution: as it lies, as the primitive wants it, and the way from one to the other.
struct Operand {
    memory ours, theirs;
    std::optional<dnnl::reorder> reorder;  // none: the primitive works on our memory
    size_t scratch = 0;

    void set(memory::desc lies, memory::desc wanted, bool is_output, cpu::ScratchLayout& layout) {
        ours = memory(lies, cpu::dnnl_engine(), nullptr);
        if (lies == wanted) {
            theirs = ours;  // the same handle: setting one sets the other
            return;
        }
        theirs = memory(wanted, cpu::dnnl_engine(), nullptr);
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
            reorder->execute(cpu::dnnl_stream(), ours, theirs);
        }
    }
    void bring_out() {
        if (reorder) {
            reorder->execute(cpu::dnnl_stream(), theirs, ours);
        }
    }
};

struct Plan {
    ConvShape shape;
    dnnl::primitive primitive;
    Operand image, weight, output;  // x, w, y in the forward direction's roles
    memory bias, scratchpad;
    std::unordered_map<int, memory> arguments;
    size_t scratchpad_offset = 0;
    size_t scratch_bytes = 0;
};

// What a plan is run on, in the forward direction's roles.
struct Buffers {
    const void* image = nullptr;
    const void* weight = nullptr;
    const void* bias = nullptr;
    const void* output = nullptr;
    uint64_t weight_storage = 0, weight_version = 0;
};

struct Descriptors {
    memory::desc image, weight, bias, output;
    memory::dims stride, dilation, before, after;

    // Formats as they lie, or left to the library.
    Descriptors(const ConvShape& s, bool with_bias, bool any_image, bool any_weight) {
        constexpr auto f32 = memory::data_type::f32;
        const Conv2dAttrs& a = s.attrs;
        const Tag image_tag = any_image ? Tag::any : Tag::nhwc;
        image = {{s.batch, s.in_channels, s.height, s.width}, f32, image_tag};
        output = {{s.batch, s.out_channels, s.out_height, s.out_width}, f32, image_tag};
        const int64_t group_in = s.in_channels / a.groups;
        if (a.groups == 1) {
            weight = {{s.out_channels, group_in, s.kernel_height, s.kernel_width}, f32, any_weight ? Tag::any : Tag::ohwi};
        } else {
            weight = {{a.groups, s.out_channels / a.groups, group_in, s.kernel_height, s.kernel_width}, f32,
                      any_weight ? Tag::any : Tag::gohwi};
        }
        if (with_bias) {
            bias = {{s.out_channels}, f32, Tag::a};
        }
        stride = {a.stride[0], a.stride[1]};
        dilation = {a.dilation[0] - 1, a.dilation[1] - 1};  // the library counts the skipped elements
        before = {a.padding.top, a.padding.left};
        after = {a.padding.bottom, a.padding.right};
    }
};

template <typename Primitive, typename Description>
void finish(Plan& plan, const Description& made, const memory::desc& image, const memory::desc& weight,
            const memory::desc& output, bool with_bias) {
    const Descriptors lies(plan.shape, with_bias, false, false);
    const ConvDirection direction = plan.shape.direction;
    cpu::ScratchLayout layout;
    plan.primitive = Primitive(made);
    plan.image.set(lies.image, image, direction == ConvDirection::backward_data, layout);
    plan.weight.set(lies.weight, weight, direction == ConvDirection::backward_weights, layout);
    plan.output.set(lies.output, output, direction == ConvDirection::forward, layout);
    plan.scratchpad = memory(made.scratchpad_desc(), cpu::dnnl_engine(), nullptr);
    plan.scratchpad_offset = layout.add(made.scratchpad_desc().get_size());
    plan.scratch_bytes = layout.size();
    const bool forward = direction == ConvDirection::forward;
    plan.arguments = {
        {direction == ConvDirection::backward_data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, plan.image.theirs},
        {direction == ConvDirection::backward_weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, plan.weight.theirs},
        {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, plan.output.theirs},
        {DNNL_ARG_SCRATCHPAD, plan.scratchpad}};
    if (with_bias) {
        plan.bias = memory(lies.bias, cpu::dnnl_engine(), nullptr);
        plan.arguments.emplace(DNNL_ARG_BIAS, plan.bias);
    }
}

// Empty when the library has no such implementation.
std::optional<Plan> make_plan(const ConvShape& shape, ConvChoice choice, bool with_bias) {
    const Descriptors wanted(shape, with_bias, choice != ConvChoice::nhwc, true);
    const auto& engine = cpu::dnnl_engine();
    const auto& attributes = cpu::user_scratchpad();
    const auto algorithm = choice == ConvChoice::winograd ? dnnl::algorithm::convolution_winograd
                                                          : dnnl::algorithm::convolution_direct;
    const auto forward = [&](dnnl::algorithm how) {
        using Description = dnnl::convolution_forward::primitive_desc;
        return Description(engine, dnnl::prop_kind::forward_training, how, wanted.image, wanted.weight, wanted.bias,
                           wanted.output, wanted.stride, wanted.dilation, wanted.before, wanted.after, attributes, true);
    };
    Plan plan;
    plan.shape = shape;
    switch (shape.direction) {
        case ConvDirection::forward: {
            const auto made = forward(algorithm);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_forward>(plan, made, made.src_desc(), made.weights_desc(), made.dst_desc(),
                                              with_bias);
            break;
        }
        case ConvDirection::backward_data: {
            const dnnl::convolution_backward_data::primitive_desc made(
                engine, algorithm, wanted.image, wanted.weight, wanted.output, wanted.stride, wanted.dilation,
                wanted.before, wanted.after, forward(dnnl::algorithm::convolution_direct), attributes, true);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_backward_data>(plan, made, made.diff_src_desc(), made.weights_desc(),
                                                    made.diff_dst_desc(), false);
            break;
        }
        case ConvDirection::backward_weights: {
            const dnnl::convolution_backward_weights::primitive_desc made(
                engine, algorithm, wanted.image, wanted.weight, wanted.output, wanted.stride, wanted.dilation,
                wanted.before, wanted.after, forward(dnnl::algorithm::convolution_direct), attributes, true);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_backward_weights>(plan, made, made.src_desc(), made.diff_weights_desc(),
                                                       made.diff_dst_desc(), false);
            break;
        }
    }
    return plan;
}

void run(Plan& plan, const Buffers& buffers) {
    std::byte* scratch = cpu::scratch_memory().reserve(plan.scratch_bytes);
    plan.image.bind(buffers.image, scratch);
    plan.weight.bind(buffers.weight, scratch);
    plan.output.bind(buffers.output, scratch);
    plan.scratchpad.set_data_handle(scratch + plan.scratchpad_offset);
    if (plan.bias) {
        plan.bias.set_data_handle(const_cast<void*>(buffers.bias));
    }
    const ConvDirection direction = plan.shape.direction;
    if (direction != ConvDirection::backward_data) {
        plan.image.bring_in();
    }
    if (direction != ConvDirection::forward) {
        plan.output.bring_in();
    }
    if (direction != ConvDirection::backward_weights && plan.weight.reorder) {
        const auto place = cpu::weight_cache().find(buffers.weight_storage, buffers.weight_version,
                                                    plan.weight.theirs.get_desc());
        if (place.data != nullptr) {
            plan.weight.theirs.set_data_handle(place.data);
        }
        if (!place.is_filled) {
            plan.weight.bring_in();
        }
    }
    plan.primitive.execute(cpu::dnnl_stream(), plan.arguments);
    switch (direction) {
        case ConvDirection::forward: plan.output.bring_out(); break;
        case ConvDirection::backward_data: plan.image.bring_out(); break;
        case ConvDirection::backward_weights: plan.weight.bring_out(); break;
    }
    cpu::dnnl_stream().wait();
}

double milliseconds(Plan& plan, const Buffers& buffers) {
    using Clock = std::chrono::steady_clock;
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 4; ++i) {  // the first warms up
        const auto start = Clock::now();
        run(plan, buffers);
        const double elapsed = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
        best = i == 0 ? best : std::min(best, elapsed);
    }
    return best;
}

// Another layout must win by more than the noise of a measurement.
ConvChoice measure(const ConvShape& shape, bool with_bias, const Buffers& buffers) {
    ConvChoice choice = ConvChoice::nhwc;
    double best = std::numeric_limits<double>::infinity();
    for (const ConvChoice candidate : {ConvChoice::nhwc, ConvChoice::any_layout, ConvChoice::winograd}) {
        if (auto plan = make_plan(shape, candidate, with_bias)) {
            const double elapsed = milliseconds(*plan, buffers);
            if (elapsed < 0.97 * best) {
                best = elapsed;
                choice = candidate;
            }
        }
    }
    cpu::record_choice(shape, choice);
    return choice;
}

Plan plan_for(const ConvShape& shape, bool with_bias, const Buffers& buffers) {
    std::optional<ConvChoice> choice = cpu::recorded_choice(shape);
    if (!choice) {
        choice = cpu::tuning_enabled() ? measure(shape, with_bias, buffers) : cpu::fixed_rule(shape);
    }
    for (const ConvChoice candidate : {*choice, ConvChoice::nhwc, ConvChoice::any_layout}) {
        if (auto plan = make_plan(shape, candidate, with_bias)) {
            return std::move(*plan);
        }
    }
    throw SystemError("oneDNN: no implementation of this convolution");
}

void convolve(const ConvShape& s, const Buffers& buffers) {
    thread_local cpu::PlanCache<Plan> plans(kMaxPlans);
    thread_local uint64_t generation = 0;
    if (generation != cpu::tuning_generation()) {
        plans.clear();
        generation = cpu::tuning_generation();
    }
    const Conv2dAttrs& a = s.attrs;
    const bool with_bias = buffers.bias != nullptr;
    const cpu::PlanKey key{static_cast<int64_t>(s.direction) * 2 + static_cast<int64_t>(with_bias),
                           s.batch, s.in_channels, s.height, s.width, s.out_channels, s.out_height, s.out_width,
                           s.kernel_height, s.kernel_width, a.stride[0], a.stride[1], a.padding.top, a.padding.left,
                           a.padding.bottom, a.padding.right, a.dilation[0], a.dilation[1], a.groups,
                           omp_get_max_threads()};
    BACKLIGHT_DNNL_CHECK(run(plans.get(key, [&] { return plan_for(s, with_bias, buffers); }), buffers));
}

ConvShape shape_of(ConvDirection direction, const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                   const Tensor& y) {
    return {.direction = direction,
            .batch = x.dim(0),
            .in_channels = x.dim(3),
            .height = x.dim(1),
            .width = x.dim(2),
            .out_channels = y.dim(3),
            .out_height = y.dim(1),
            .out_width = y.dim(2),
            .kernel_height = weight.dim(1),
            .kernel_width = weight.dim(2),
            .attrs = attrs};
}

// The library is for f32 with at least one element in each tensor.
bool is_ours(const Tensor& x, const Tensor& weight, const Tensor& y) {
    return x.dtype() == DType::f32 && x.numel() > 0 && weight.numel() > 0 && y.numel() > 0;
}

}  // namespace

void CpuBackend::conv2d(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y) {
    if (!is_ours(x, weight, y)) {
        return ReferenceBackend::conv2d(attrs, x, weight, bias, y);
    }
    convolve(shape_of(ConvDirection::forward, attrs, x, weight, y),
             {.image = buffer<float>(x),
              .weight = buffer<float>(weight),
              .bias = bias.defined() ? buffer<float>(bias) : nullptr,
              .output = buffer<float>(y),
              .weight_storage = weight.storage_id(),
              .weight_version = weight.version()});
}

void CpuBackend::conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight, Tensor& d_x) {
    if (!is_ours(d_x, weight, d_y)) {
        return ReferenceBackend::conv2d_backward_data(attrs, d_y, weight, d_x);
    }
    convolve(shape_of(ConvDirection::backward_data, attrs, d_x, weight, d_y),
             {.image = buffer<float>(d_x),
              .weight = buffer<float>(weight),
              .output = buffer<float>(d_y),
              .weight_storage = weight.storage_id(),
              .weight_version = weight.version()});
}

void CpuBackend::conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                         Tensor& d_weight) {
    if (!is_ours(x, d_weight, d_y)) {
        return ReferenceBackend::conv2d_backward_weights(attrs, x, d_y, d_weight);
    }
    convolve(shape_of(ConvDirection::backward_weights, attrs, x, d_weight, d_y),
             {.image = buffer<float>(x), .weight = buffer<float>(d_weight), .output = buffer<float>(d_y)});
}

}  // namespace backlight
