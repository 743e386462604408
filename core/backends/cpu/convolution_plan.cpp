// Images lie in nhwc; the library names their axes n, c, h, w whatever the layout. Our weights (O,Kh,Kw,I)
// are its `ohwi`, with groups its `gohwi`. The library picks the format of the weights and they are reordered
// into it.
#include "core/backends/cpu/convolution_plan.h"

namespace backlight::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

struct Descriptors {
    memory::desc image, weight, bias, output;
    memory::dims stride, dilation, before, after;

    // Formats as they lie, or left to the library.
    // Of images in bfloat16 the gradient of the weights is summed and written in float.
    Descriptors(const ConvShape& s, bool with_bias, bool any_image, bool any_weight) {
        constexpr auto f32 = memory::data_type::f32;
        const auto image_type = s.type == DType::bf16 ? memory::data_type::bf16 : f32;
        const bool rounds = any_weight && s.direction != ConvDirection::backward_weights;
        const auto weight_type = rounds ? image_type : f32;
        const Conv2dAttrs& a = s.attrs;
        const Tag image_tag = any_image ? Tag::any : Tag::nhwc;
        image = {{s.batch, s.in_channels, s.height, s.width}, image_type, image_tag};
        output = {{s.batch, s.out_channels, s.out_height, s.out_width}, image_type, image_tag};
        const int64_t group_in = s.in_channels / a.groups;
        if (a.groups == 1) {
            weight = {{s.out_channels, group_in, s.kernel_height, s.kernel_width},
                      weight_type,
                      any_weight ? Tag::any : Tag::ohwi};
        } else {
            weight = {{a.groups, s.out_channels / a.groups, group_in, s.kernel_height, s.kernel_width},
                      weight_type,
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
void finish(ConvPlan& plan, const Description& made, const memory::desc& image, const memory::desc& weight,
            const memory::desc& output, const ConvExtras& extras) {
    const Descriptors lies(plan.shape, extras.bias, false, false);
    const ConvDirection direction = plan.shape.direction;
    ScratchLayout layout;
    plan.primitive = Primitive(made);
    plan.image.set(lies.image, image, direction == ConvDirection::backward_data, layout);
    plan.weight.set(lies.weight, weight, direction == ConvDirection::backward_weights, layout);
    plan.output.set(lies.output, output, direction == ConvDirection::forward, layout);
    plan.scratchpad = memory(made.scratchpad_desc(), dnnl_engine(), nullptr);
    plan.scratchpad_offset = layout.add(made.scratchpad_desc().get_size());
    plan.scratch_bytes = layout.size();
    const bool forward = direction == ConvDirection::forward;
    plan.arguments = {
        {direction == ConvDirection::backward_data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, plan.image.theirs},
        {direction == ConvDirection::backward_weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
         plan.weight.theirs},
        {forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, plan.output.theirs},
        {DNNL_ARG_SCRATCHPAD, plan.scratchpad}};
    if (extras.residual) {
        plan.residual = memory(lies.output, dnnl_engine(), nullptr);
        plan.arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, plan.residual);
    }
    if (extras.bias) {
        plan.bias = memory(lies.bias, dnnl_engine(), nullptr);
        plan.arguments.emplace(DNNL_ARG_BIAS, plan.bias);
    }
}

/// The residual is added by the convolution as it writes, then the activation.
dnnl::primitive_attr attributes_for(const ConvShape& shape, const ConvExtras& extras) {
    dnnl::primitive_attr attributes;  // a new one: copies of an attribute share what they hold
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops after;
    if (extras.residual) {
        after.append_binary(dnnl::algorithm::binary_add, Descriptors(shape, false, false, false).output);
    }
    switch (extras.activation) {
        case Activation::none:
            break;
        case Activation::relu:
            after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
            break;
        case Activation::relu6:
            after.append_eltwise(dnnl::algorithm::eltwise_clip, 0.0f, 6.0f);
            break;
    }
    attributes.set_post_ops(after);
    return attributes;
}

}  // namespace

std::optional<ConvPlan> make_plan(const ConvShape& shape, ConvChoice choice, const ConvExtras& extras) {
    const Descriptors wanted(shape, extras.bias, choice != ConvChoice::nhwc, true);
    const auto& engine = dnnl_engine();
    const dnnl::primitive_attr attributes = attributes_for(shape, extras);
    const auto algorithm = choice == ConvChoice::winograd ? dnnl::algorithm::convolution_winograd
                                                          : dnnl::algorithm::convolution_direct;
    const auto forward = [&](dnnl::algorithm how, const Descriptors& d) {
        using Description = dnnl::convolution_forward::primitive_desc;
        return Description(engine, dnnl::prop_kind::forward_training, how, d.image, d.weight, d.bias,
                           d.output, d.stride, d.dilation, d.before, d.after, attributes, true);
    };
    const auto hint = [&] {  // the forward convolution that a backward one belongs to
        ConvShape ahead = shape;
        ahead.direction = ConvDirection::forward;
        return forward(dnnl::algorithm::convolution_direct,
                       Descriptors(ahead, false, choice != ConvChoice::nhwc, true));
    };
    ConvPlan plan;
    plan.shape = shape;
    switch (shape.direction) {
        case ConvDirection::forward: {
            const auto made = forward(algorithm, wanted);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_forward>(plan, made, made.src_desc(), made.weights_desc(),
                                              made.dst_desc(), extras);
            break;
        }
        case ConvDirection::backward_data: {
            const dnnl::convolution_backward_data::primitive_desc made(
                engine, algorithm, wanted.image, wanted.weight, wanted.output, wanted.stride, wanted.dilation,
                wanted.before, wanted.after, hint(), attributes, true);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_backward_data>(plan, made, made.diff_src_desc(), made.weights_desc(),
                                                    made.diff_dst_desc(), {});
            break;
        }
        case ConvDirection::backward_weights: {
            const dnnl::convolution_backward_weights::primitive_desc made(
                engine, algorithm, wanted.image, wanted.weight, wanted.output, wanted.stride, wanted.dilation,
                wanted.before, wanted.after, hint(), attributes, true);
            if (!made) {
                return std::nullopt;
            }
            finish<dnnl::convolution_backward_weights>(plan, made, made.src_desc(), made.diff_weights_desc(),
                                                       made.diff_dst_desc(), {});
            break;
        }
    }
    return plan;
}

void run(ConvPlan& plan, const ConvBuffers& buffers) {
    std::byte* scratch = scratch_memory().reserve(plan.scratch_bytes);
    plan.image.bind(buffers.image, scratch);
    plan.weight.bind(buffers.weight, scratch);
    plan.output.bind(buffers.output, scratch);
    plan.scratchpad.set_data_handle(scratch + plan.scratchpad_offset);
    if (plan.residual) {
        plan.residual.set_data_handle(const_cast<void*>(buffers.residual));
    }
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
        const auto place = weight_cache().find(buffers.weight_storage, buffers.weight_version,
                                               plan.weight.theirs.get_desc());
        if (place.data != nullptr) {
            plan.weight.theirs.set_data_handle(place.data);
        }
        if (!place.is_filled) {
            plan.weight.bring_in();
        }
    }
    plan.primitive.execute(dnnl_stream(), plan.arguments);
    switch (direction) {
        case ConvDirection::forward:
            plan.output.bring_out();
            break;
        case ConvDirection::backward_data:
            plan.image.bring_out();
            break;
        case ConvDirection::backward_weights:
            plan.weight.bring_out();
            break;
    }
    dnnl_stream().wait();
}

}  // namespace backlight::cpu
