// The three products of a convolution (core/backends/reference/convolution.cpp has their formulas) by oneDNN:
// which of its implementations, and the plans that are kept.
#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>

#include <omp.h>

#include "core/backends/buffer.h"
#include "core/backends/cpu/convolution_plan.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/double_products.h"
#include "core/backends/cpu/parallel.h"

namespace backlight {
namespace {

using cpu::ConvChoice;
using cpu::ConvDirection;
using cpu::ConvShape;

constexpr size_t kMaxPlans = 512;
// Fewer multiplications than this take one thread less time than waking another one.
constexpr int64_t kSmallProducts = 1 << 21;

double milliseconds(cpu::ConvPlan& plan, const cpu::ConvBuffers& buffers) {
    using Clock = std::chrono::steady_clock;
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 4; ++i) {  // the first warms up
        const auto start = Clock::now();
        cpu::run(plan, buffers);
        const double elapsed = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
        best = i == 0 ? best : std::min(best, elapsed);
    }
    return best;
}

// Another layout must win by more than the noise of a measurement.
ConvChoice measure(const ConvShape& shape, const cpu::ConvExtras& extras, const cpu::ConvBuffers& buffers) {
    ConvChoice choice = ConvChoice::nhwc;
    double best = std::numeric_limits<double>::infinity();
    for (const ConvChoice candidate : {ConvChoice::nhwc, ConvChoice::any_layout, ConvChoice::winograd}) {
        if (auto plan = cpu::make_plan(shape, candidate, extras)) {
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

cpu::ConvPlan plan_for(const ConvShape& shape, const cpu::ConvExtras& extras,
                       const cpu::ConvBuffers& buffers) {
    std::optional<ConvChoice> choice = cpu::recorded_choice(shape);
    if (!choice) {
        choice = cpu::tuning_enabled() ? measure(shape, extras, buffers) : cpu::fixed_rule(shape);
    }
    for (const ConvChoice candidate : {*choice, ConvChoice::nhwc, ConvChoice::any_layout}) {
        if (auto plan = cpu::make_plan(shape, candidate, extras)) {
            return std::move(*plan);
        }
    }
    throw SystemError("oneDNN: no implementation of this convolution");
}

void convolve(const ConvShape& s, const cpu::ConvBuffers& buffers, Activation activation = Activation::none) {
    thread_local cpu::PlanCache<cpu::ConvPlan> plans(kMaxPlans);
    thread_local uint64_t generation = 0;
    if (generation != cpu::tuning_generation()) {
        plans.clear();
        generation = cpu::tuning_generation();
    }
    const Conv2dAttrs& a = s.attrs;
    const int64_t products = s.batch * s.out_height * s.out_width * s.out_channels * s.kernel_height *
                             s.kernel_width * (s.in_channels / a.groups);
    const cpu::OneThread one_thread(products < kSmallProducts);
    const cpu::ConvExtras extras{buffers.bias != nullptr, buffers.residual != nullptr, activation};
    const int64_t kind = static_cast<int64_t>(s.direction) * 32 + (s.type == DType::bf16 ? 16 : 0) +
                         (extras.bias ? 8 : 0) + (extras.residual ? 4 : 0) + static_cast<int64_t>(activation);
    const cpu::PlanKey key{kind,
                           s.batch,
                           s.in_channels,
                           s.height,
                           s.width,
                           s.out_channels,
                           s.out_height,
                           s.out_width,
                           s.kernel_height,
                           s.kernel_width,
                           a.stride[0],
                           a.stride[1],
                           a.padding.top,
                           a.padding.left,
                           a.padding.bottom,
                           a.padding.right,
                           a.dilation[0],
                           a.dilation[1],
                           a.groups,
                           omp_get_max_threads()};
    BACKLIGHT_DNNL_CHECK(cpu::run(plans.get(key, [&] { return plan_for(s, extras, buffers); }), buffers));
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
            .attrs = attrs,
            .type = x.dtype()};
}

// The library is for f32, and for bfloat16 where the processor has it, with at least one element in each
// tensor.
bool is_ours(const Tensor& x, const Tensor& weight, const Tensor& y) {
    static const bool has_bf16 = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
    return (x.dtype() == DType::f32 || (x.dtype() == DType::bf16 && has_bf16)) && x.numel() > 0 &&
           weight.numel() > 0 && y.numel() > 0;
}

}  // namespace

void CpuBackend::conv2d(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y) {
    if (cpu::takes_double_convolution(attrs, x, weight, y)) {
        return cpu::double_convolution(attrs, x, weight, bias, y);
    }
    if (!is_ours(x, weight, y)) {
        return ReferenceBackend::conv2d(attrs, x, weight, bias, y);
    }
    convolve(shape_of(ConvDirection::forward, attrs, x, weight, y),
             {.image = buffer<void>(x),
              .weight = buffer<float>(weight),
              .bias = bias.defined() ? buffer<float>(bias) : nullptr,
              .output = buffer<void>(y),
              .weight_storage = weight.storage_id(),
              .weight_version = weight.version()});
}

void CpuBackend::conv2d_fused(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                              const Tensor& bias, const ConvEpilogue& epilogue, Tensor& y) {
    if (!is_ours(x, weight, y)) {
        return ReferenceBackend::conv2d_fused(attrs, x, weight, bias, epilogue, y);
    }
    convolve(shape_of(ConvDirection::forward, attrs, x, weight, y),
             {.image = buffer<void>(x),
              .weight = buffer<float>(weight),
              .bias = bias.defined() ? buffer<float>(bias) : nullptr,
              .output = buffer<void>(y),
              .residual = epilogue.residual.defined() ? buffer<void>(epilogue.residual) : nullptr,
              .weight_storage = weight.storage_id(),
              .weight_version = weight.version()},
             epilogue.activation);
}

void CpuBackend::conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight,
                                      Tensor& d_x) {
    if (cpu::takes_double_convolution(attrs, d_x, weight, d_y)) {
        return cpu::double_convolution_data(attrs, d_y, weight, d_x);
    }
    if (!is_ours(d_x, weight, d_y)) {
        return ReferenceBackend::conv2d_backward_data(attrs, d_y, weight, d_x);
    }
    convolve(shape_of(ConvDirection::backward_data, attrs, d_x, weight, d_y),
             {.image = buffer<void>(d_x),
              .weight = buffer<float>(weight),
              .output = buffer<void>(d_y),
              .weight_storage = weight.storage_id(),
              .weight_version = weight.version()});
}

void CpuBackend::conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                         Tensor& d_weight) {
    if (cpu::takes_double_convolution(attrs, x, d_weight, d_y)) {
        return cpu::double_convolution_weights(attrs, x, d_y, d_weight);
    }
    if (!is_ours(x, d_weight, d_y)) {
        return ReferenceBackend::conv2d_backward_weights(attrs, x, d_y, d_weight);
    }
    convolve(shape_of(ConvDirection::backward_weights, attrs, x, d_weight, d_y),
             {.image = buffer<void>(x), .weight = buffer<float>(d_weight), .output = buffer<void>(d_y)});
}

}  // namespace backlight
