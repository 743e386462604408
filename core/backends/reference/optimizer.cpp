// One step of an optimiser, in place, with the update rules (and the order of operations) of PyTorch.
//   SGD        g' = g + decay w;  v = g' at first, then momentum v + (1 - dampening) g'
//              w -= lr v,  with Nesterov  w -= lr (g' + momentum v),  without momentum  w -= lr g'
//   Adam       g' = g + decay w;  m = b1 m + (1 - b1) g';  v = b2 v + (1 - b2) g'^2
//              w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   AdamW      the same with g' = g, after w -= lr decay w
//   Adadelta   g' = g + decay w;  s = rho s + (1 - rho) g'^2;  d = sqrt(u + eps) / sqrt(s + eps) g'
//              u = rho u + (1 - rho) d^2;  w -= lr d
//   RMSprop    g' = g + decay w;  s = a s + (1 - a) g'^2;  centered: m = a m + (1 - a) g', s' = s - m^2
//              d = g' / (sqrt(s') + eps);  with momentum v = momentum v + d, d = v;  w -= lr d
// An element is updated in double and then rounded.
#include <algorithm>
#include <cmath>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight {

void ReferenceBackend::sgd_step(const SgdAttrs& attrs, Tensor& w, const Tensor& g, Tensor& velocity) {
    dispatch_floating("sgd_step", w.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < w.numel(); ++i) {
            const auto weight = static_cast<double>(buffer<T>(w)[i]);
            const double gradient = static_cast<double>(buffer<T>(g)[i]) + attrs.weight_decay * weight;
            double step = gradient;
            if (attrs.momentum != 0) {
                T& state = buffer<T>(velocity)[i];
                const double moved = attrs.first_step ? gradient
                                                      : attrs.momentum * static_cast<double>(state) +
                                                            (1 - attrs.dampening) * gradient;
                state = static_cast<T>(moved);
                step = attrs.nesterov ? gradient + attrs.momentum * moved : moved;
            }
            buffer<T>(w)[i] = static_cast<T>(weight - attrs.lr * step);
        }
    });
}

void ReferenceBackend::adam_step(const AdamAttrs& attrs, Tensor& w, const Tensor& g, Tensor& m, Tensor& v) {
    const double correction1 = 1 - std::pow(attrs.beta1, static_cast<double>(attrs.step));
    const double correction2 = 1 - std::pow(attrs.beta2, static_cast<double>(attrs.step));
    dispatch_floating("adam_step", w.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < w.numel(); ++i) {
            auto weight = static_cast<double>(buffer<T>(w)[i]);
            auto gradient = static_cast<double>(buffer<T>(g)[i]);
            if (attrs.decoupled) {
                weight -= attrs.lr * attrs.weight_decay * weight;
            } else {
                gradient += attrs.weight_decay * weight;
            }
            const double first =
                attrs.beta1 * static_cast<double>(buffer<T>(m)[i]) + (1 - attrs.beta1) * gradient;
            const double second =
                attrs.beta2 * static_cast<double>(buffer<T>(v)[i]) + (1 - attrs.beta2) * gradient * gradient;
            buffer<T>(m)[i] = static_cast<T>(first);
            buffer<T>(v)[i] = static_cast<T>(second);
            const double scale = std::sqrt(second) / std::sqrt(correction2) + attrs.eps;
            buffer<T>(w)[i] = static_cast<T>(weight - attrs.lr / correction1 * first / scale);
        }
    });
}

void ReferenceBackend::adadelta_step(const AdadeltaAttrs& attrs, Tensor& w, const Tensor& g,
                                     Tensor& square_mean, Tensor& delta_mean) {
    dispatch_floating("adadelta_step", w.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < w.numel(); ++i) {
            const auto weight = static_cast<double>(buffer<T>(w)[i]);
            const double gradient = static_cast<double>(buffer<T>(g)[i]) + attrs.weight_decay * weight;
            const double squares = attrs.rho * static_cast<double>(buffer<T>(square_mean)[i]) +
                                   (1 - attrs.rho) * gradient * gradient;
            const auto deltas = static_cast<double>(buffer<T>(delta_mean)[i]);
            const double delta = std::sqrt(deltas + attrs.eps) / std::sqrt(squares + attrs.eps) * gradient;
            buffer<T>(square_mean)[i] = static_cast<T>(squares);
            buffer<T>(delta_mean)[i] = static_cast<T>(attrs.rho * deltas + (1 - attrs.rho) * delta * delta);
            buffer<T>(w)[i] = static_cast<T>(weight - attrs.lr * delta);
        }
    });
}

void ReferenceBackend::rmsprop_step(const RmspropAttrs& attrs, Tensor& w, const Tensor& g,
                                    Tensor& square_mean, Tensor& mean, Tensor& velocity) {
    dispatch_floating("rmsprop_step", w.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < w.numel(); ++i) {
            const auto weight = static_cast<double>(buffer<T>(w)[i]);
            const double gradient = static_cast<double>(buffer<T>(g)[i]) + attrs.weight_decay * weight;
            const double squares = attrs.alpha * static_cast<double>(buffer<T>(square_mean)[i]) +
                                   (1 - attrs.alpha) * gradient * gradient;
            buffer<T>(square_mean)[i] = static_cast<T>(squares);
            double variance = squares;
            if (attrs.centered) {
                const double first =
                    attrs.alpha * static_cast<double>(buffer<T>(mean)[i]) + (1 - attrs.alpha) * gradient;
                buffer<T>(mean)[i] = static_cast<T>(first);
                // Rounding of the stored means may leave a little less than nothing.
                variance = std::max(squares - first * first, 0.0);
            }
            double step = gradient / (std::sqrt(variance) + attrs.eps);
            if (attrs.momentum != 0) {
                step += attrs.momentum * static_cast<double>(buffer<T>(velocity)[i]);
                buffer<T>(velocity)[i] = static_cast<T>(step);
            }
            buffer<T>(w)[i] = static_cast<T>(weight - attrs.lr * step);
        }
    });
}

}  // namespace backlight
