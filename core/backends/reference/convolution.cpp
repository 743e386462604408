// Convolution of images (N,H,W,C) with weights (O,Kh,Kw,C/groups) and the products of its derivatives.
// With h = i*stride + a*dilation - top, w = j*stride + b*dilation - left, and zeros outside of the image:
//   y[n,i,j,o]         = bias[o] + sum over a,b,c of x[n,h,w,g C/groups + c] weight[o,a,b,c],  o in group g
//   d_x[n,h,w,c]       = sum over (i,a), (j,b) that meet at (h,w), and o, of d_y[n,i,j,o] weight[o,a,b,c]
//   d_weight[o,a,b,c]  = sum over n,i,j of x[n,h,w,c] d_y[n,i,j,o]
// The three are one trilinear sum over (x, weight, d_y), derived with respect to each of them in turn.
#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/geometry.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/widen.h"

namespace backlight {
namespace {

using reference::Geometry;

template <typename T>
double output_element(const Geometry& g, const T* x, const T* weight, int64_t n, int64_t i, int64_t j,
                      int64_t o) {
    const int64_t first_channel = o / g.group_out * g.group_in;
    double sum = 0;
    for (int64_t a = 0; a < g.height.kernel; ++a) {
        const int64_t h = g.height.input(i, a);
        for (int64_t b = 0; b < g.width.kernel; ++b) {
            const int64_t w = g.width.input(j, b);
            if (h < 0 || w < 0) {
                continue;
            }
            const T* image = x + g.in_image(n, h, w, first_channel);
            const T* taps = weight + g.in_weight(o, a, b, 0);
            for (int64_t c = 0; c < g.group_in; ++c) {
                sum += static_cast<double>(image[c]) * static_cast<double>(taps[c]);
            }
        }
    }
    return sum;
}

template <typename T>
double image_gradient_element(const Geometry& g, const T* d_y, const T* weight, int64_t n, int64_t h,
                              int64_t w, int64_t c) {
    const int64_t group = c / g.group_in;
    double sum = 0;
    for (int64_t a = 0; a < g.height.kernel; ++a) {
        const int64_t i = g.height.window(h, a);
        for (int64_t b = 0; b < g.width.kernel; ++b) {
            const int64_t j = g.width.window(w, b);
            if (i < 0 || j < 0) {
                continue;
            }
            for (int64_t o = group * g.group_out; o < (group + 1) * g.group_out; ++o) {
                sum += static_cast<double>(d_y[g.in_output(n, i, j, o)]) *
                       static_cast<double>(weight[g.in_weight(o, a, b, c % g.group_in)]);
            }
        }
    }
    return sum;
}

template <typename T>
double weight_gradient_element(const Geometry& g, const T* x, const T* d_y, int64_t o, int64_t a, int64_t b,
                               int64_t c) {
    const int64_t channel = o / g.group_out * g.group_in + c;
    double sum = 0;
    for (int64_t n = 0; n < g.batch; ++n) {
        for (int64_t i = 0; i < g.height.out; ++i) {
            const int64_t h = g.height.input(i, a);
            for (int64_t j = 0; j < g.width.out; ++j) {
                const int64_t w = g.width.input(j, b);
                if (h < 0 || w < 0) {
                    continue;
                }
                sum += static_cast<double>(x[g.in_image(n, h, w, channel)]) *
                       static_cast<double>(d_y[g.in_output(n, i, j, o)]);
            }
        }
    }
    return sum;
}

// y[i,j,k,l] = element(i, j, k, l) at every position of a tensor of rank 4, in row order.
template <typename T, typename Element>
void fill_each(Tensor& y, Element element) {
    T* out = buffer<T>(y);
    for (int64_t i = 0; i < y.dim(0); ++i) {
        for (int64_t j = 0; j < y.dim(1); ++j) {
            for (int64_t k = 0; k < y.dim(2); ++k) {
                for (int64_t l = 0; l < y.dim(3); ++l) {
                    *out++ = static_cast<T>(element(i, j, k, l));
                }
            }
        }
    }
}

}  // namespace

void ReferenceBackend::conv2d(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                              const Tensor& bias, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { conv2d(attrs, widened(x), weight, bias, wide); });
    }
    const Geometry g(attrs, x.shape(), weight.shape(), y.shape());
    dispatch_floating("conv2d", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        fill_each<T>(y, [&](int64_t n, int64_t i, int64_t j, int64_t o) {
            const double sum = output_element(g, buffer<T>(x), buffer<T>(weight), n, i, j, o);
            return bias.defined() ? sum + static_cast<double>(buffer<T>(bias)[o]) : sum;
        });
    });
}

void ReferenceBackend::conv2d_fused(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                                    const Tensor& bias, const ConvEpilogue& epilogue, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) {
            conv2d_fused(attrs, widened(x), weight, bias, {widened(epilogue.residual), epilogue.activation},
                         wide);
        });
    }
    conv2d(attrs, x, weight, bias, y);
    if (epilogue.residual.defined()) {
        accumulate(y, epilogue.residual);
    }
    switch (epilogue.activation) {
        case Activation::none:
            break;
        case Activation::relu:
            return unary(UnaryOp::relu, y, 0.0, y);
        case Activation::relu6:
            return unary(UnaryOp::relu6, y, 0.0, y);
    }
}

void ReferenceBackend::conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight,
                                            Tensor& d_x) {
    if (d_y.dtype() == DType::bf16) {
        return widened_into(d_x,
                            [&](Tensor& wide) { conv2d_backward_data(attrs, widened(d_y), weight, wide); });
    }
    const Geometry g(attrs, d_x.shape(), weight.shape(), d_y.shape());
    dispatch_floating("conv2d_backward_data", d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        fill_each<T>(d_x, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
            return image_gradient_element(g, buffer<T>(d_y), buffer<T>(weight), n, h, w, c);
        });
    });
}

void ReferenceBackend::conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                               Tensor& d_weight) {
    if (x.dtype() == DType::bf16) {
        return conv2d_backward_weights(attrs, widened(x), widened(d_y), d_weight);
    }
    const Geometry g(attrs, x.shape(), d_weight.shape(), d_y.shape());
    dispatch_floating("conv2d_backward_weights", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        fill_each<T>(d_weight, [&](int64_t o, int64_t a, int64_t b, int64_t c) {
            return weight_gradient_element(g, buffer<T>(x), buffer<T>(d_y), o, a, b, c);
        });
    });
}

}  // namespace backlight
