// One step of an optimiser in one pass over memory; formulas: core/backends/reference/optimizer.cpp. The
// arithmetic is the reference's, in double: the same bits, except that Adam's quotient is taken in float,
// which a core divides four times as fast.
#include <algorithm>
#include <cmath>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/parallel.h"

namespace backlight {
namespace {

template <bool Momentum>
BACKLIGHT_CLONES void sgd_loop(const SgdAttrs& attrs, float* w, const float* g, float* velocity,
                               int64_t count) {
    const SgdAttrs a = attrs;
    const double take = a.first_step ? 1.0 : 1 - a.dampening;
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const auto weight = static_cast<double>(w[i]);
        const double gradient = static_cast<double>(g[i]) + a.weight_decay * weight;
        double step = gradient;
        if constexpr (Momentum) {
            // The buffer may hold anything before the first step, NaN included.
            const double state = a.first_step ? 0.0 : static_cast<double>(velocity[i]);
            const double moved = a.momentum * state + take * gradient;
            velocity[i] = static_cast<float>(moved);
            step = a.nesterov ? gradient + a.momentum * moved : moved;
        }
        w[i] = static_cast<float>(weight - a.lr * step);
    }
}

BACKLIGHT_CLONES void adam_loop(const AdamAttrs& attrs, float* w, const float* g, float* m, float* v,
                                int64_t count) {
    const AdamAttrs a = attrs;
    const double correction1 = 1 - std::pow(a.beta1, static_cast<double>(a.step));
    const double correction2 = 1 - std::pow(a.beta2, static_cast<double>(a.step));
    const auto rate = static_cast<float>(a.lr / correction1);
    const auto root = static_cast<float>(1.0 / std::sqrt(correction2));
    const auto eps = static_cast<float>(a.eps);
    const double shrink = a.decoupled ? a.lr * a.weight_decay : 0.0;
    const double decay = a.decoupled ? 0.0 : a.weight_decay;
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        auto weight = static_cast<double>(w[i]);
        const double gradient = static_cast<double>(g[i]) + decay * weight;
        weight -= shrink * weight;
        const double first = a.beta1 * static_cast<double>(m[i]) + (1 - a.beta1) * gradient;
        const double second = a.beta2 * static_cast<double>(v[i]) + (1 - a.beta2) * gradient * gradient;
        const auto mean = static_cast<float>(first);
        const auto square = static_cast<float>(second);
        m[i] = mean;
        v[i] = square;
        w[i] =
            static_cast<float>(weight - static_cast<double>(rate * mean / (std::sqrt(square) * root + eps)));
    }
}

BACKLIGHT_CLONES void adadelta_loop(const AdadeltaAttrs& attrs, float* w, const float* g, float* square_mean,
                                    float* delta_mean, int64_t count) {
    const AdadeltaAttrs a = attrs;
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const auto weight = static_cast<double>(w[i]);
        const double gradient = static_cast<double>(g[i]) + a.weight_decay * weight;
        const double squares =
            a.rho * static_cast<double>(square_mean[i]) + (1 - a.rho) * gradient * gradient;
        const auto deltas = static_cast<double>(delta_mean[i]);
        const double delta = std::sqrt(deltas + a.eps) / std::sqrt(squares + a.eps) * gradient;
        square_mean[i] = static_cast<float>(squares);
        delta_mean[i] = static_cast<float>(a.rho * deltas + (1 - a.rho) * delta * delta);
        w[i] = static_cast<float>(weight - a.lr * delta);
    }
}

template <bool Centered, bool Momentum>
BACKLIGHT_CLONES void rmsprop_loop(const RmspropAttrs& attrs, float* w, const float* g, float* square_mean,
                                   float* mean, float* velocity, int64_t count) {
    const RmspropAttrs a = attrs;
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const auto weight = static_cast<double>(w[i]);
        const double gradient = static_cast<double>(g[i]) + a.weight_decay * weight;
        const double squares =
            a.alpha * static_cast<double>(square_mean[i]) + (1 - a.alpha) * gradient * gradient;
        square_mean[i] = static_cast<float>(squares);
        double variance = squares;
        if constexpr (Centered) {
            const double first = a.alpha * static_cast<double>(mean[i]) + (1 - a.alpha) * gradient;
            mean[i] = static_cast<float>(first);
            variance = std::max(squares - first * first, 0.0);
        }
        double step = gradient / (std::sqrt(variance) + a.eps);
        if constexpr (Momentum) {
            step += a.momentum * static_cast<double>(velocity[i]);
            velocity[i] = static_cast<float>(step);
        }
        w[i] = static_cast<float>(weight - a.lr * step);
    }
}

// run(begin, end) over the elements of w.
template <typename Run>
void for_elements(const Tensor& w, Run run) {
    cpu::parallel_ranges(w.numel(), cpu::kParallelElements / 4, 64, run);
}

}  // namespace

void CpuBackend::sgd_step(const SgdAttrs& attrs, Tensor& w, const Tensor& g, Tensor& velocity) {
    if (w.dtype() != DType::f32) {
        return ReferenceBackend::sgd_step(attrs, w, g, velocity);
    }
    auto* weight = buffer<float>(w);
    const auto* gradient = buffer<float>(g);
    if (attrs.momentum == 0) {
        return for_elements(w, [&](int64_t begin, int64_t end) {
            sgd_loop<false>(attrs, weight + begin, gradient + begin, nullptr, end - begin);
        });
    }
    auto* state = buffer<float>(velocity);
    for_elements(w, [&](int64_t begin, int64_t end) {
        sgd_loop<true>(attrs, weight + begin, gradient + begin, state + begin, end - begin);
    });
}

void CpuBackend::adam_step(const AdamAttrs& attrs, Tensor& w, const Tensor& g, Tensor& m, Tensor& v) {
    if (w.dtype() != DType::f32) {
        return ReferenceBackend::adam_step(attrs, w, g, m, v);
    }
    auto* weight = buffer<float>(w);
    const auto* gradient = buffer<float>(g);
    auto* first = buffer<float>(m);
    auto* second = buffer<float>(v);
    for_elements(w, [&](int64_t begin, int64_t end) {
        adam_loop(attrs, weight + begin, gradient + begin, first + begin, second + begin, end - begin);
    });
}

void CpuBackend::adadelta_step(const AdadeltaAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                               Tensor& delta_mean) {
    if (w.dtype() != DType::f32) {
        return ReferenceBackend::adadelta_step(attrs, w, g, square_mean, delta_mean);
    }
    auto* weight = buffer<float>(w);
    const auto* gradient = buffer<float>(g);
    auto* squares = buffer<float>(square_mean);
    auto* deltas = buffer<float>(delta_mean);
    for_elements(w, [&](int64_t begin, int64_t end) {
        adadelta_loop(attrs, weight + begin, gradient + begin, squares + begin, deltas + begin, end - begin);
    });
}

void CpuBackend::rmsprop_step(const RmspropAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                              Tensor& mean, Tensor& velocity) {
    if (w.dtype() != DType::f32) {
        return ReferenceBackend::rmsprop_step(attrs, w, g, square_mean, mean, velocity);
    }
    const auto loop = attrs.centered
                          ? (attrs.momentum != 0 ? rmsprop_loop<true, true> : rmsprop_loop<true, false>)
                          : (attrs.momentum != 0 ? rmsprop_loop<false, true> : rmsprop_loop<false, false>);
    auto* weight = buffer<float>(w);
    const auto* gradient = buffer<float>(g);
    auto* squares = buffer<float>(square_mean);
    auto* first = attrs.centered ? buffer<float>(mean) : nullptr;
    auto* state = attrs.momentum != 0 ? buffer<float>(velocity) : nullptr;
    for_elements(w, [&](int64_t begin, int64_t end) {
        loop(attrs, weight + begin, gradient + begin, squares + begin,
             first == nullptr ? nullptr : first + begin, state == nullptr ? nullptr : state + begin,
             end - begin);
    });
}

}  // namespace backlight
