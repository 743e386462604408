// Which backend serves a device, how many threads its kernels use, and the output shapes of windowed kernels.
//   output extent = floor((extent + padding - span) / stride) + 1,   span = dilation (kernel - 1) + 1
//   ceil mode rounds up, unless the last window would then start beyond the image and the padding before it
#include <omp.h>

#include <atomic>

#include "core/backend.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/reference/reference_backend.h"
#include "core/error.h"

namespace backlight {
namespace {

thread_local Backend* scoped_backend = nullptr;

std::atomic<int> requested_threads{0};

// How one axis is tiled by windows.
struct Tiling {
    int64_t extent, before, after, span, stride;
    [[nodiscard]] int64_t padded() const { return extent + before + after; }
    [[nodiscard]] bool fits() const { return span <= padded(); }
    [[nodiscard]] int64_t windows(bool ceil_mode) const {
        const int64_t room = padded() - span;
        if (!ceil_mode) {
            return room / stride + 1;
        }
        const int64_t last = (room + stride - 1) / stride;
        return last * stride >= extent + before ? last : last + 1;
    }
};

Shape windows_shape(std::string_view who, const Shape& x, const Tiling& height, const Tiling& width,
                    bool ceil_mode, int64_t channels) {
    BACKLIGHT_CHECK(height.fits() && width.fits(), who, ": a window of ", height.span, " x ", width.span,
                    " does not fit x of shape ", x, ", with padding ", height.padded(), " x ",
                    width.padded());
    return {x[0], height.windows(ceil_mode), width.windows(ceil_mode), channels};
}

void check_image(std::string_view who, const Shape& x) {
    BACKLIGHT_CHECK(x.rank() == 4, who, ": expected x of shape (N, H, W, C), got shape ", x);
}

void check_positive(std::string_view who, std::string_view what, const std::array<int64_t, 2>& pair) {
    BACKLIGHT_CHECK(pair[0] >= 1 && pair[1] >= 1, who, ": expected a ", what, " >= 1, got ", pair[0], " x ",
                    pair[1]);
}

void check_padding(std::string_view who, const Padding& p) {
    BACKLIGHT_CHECK(p.top >= 0 && p.left >= 0 && p.bottom >= 0 && p.right >= 0, who,
                    ": expected a padding >= 0, got top ", p.top, ", left ", p.left, ", bottom ", p.bottom,
                    ", right ", p.right);
}

}  // namespace

Backend& reference_backend() {
    static auto* backend =
        new ReferenceBackend;  // never destroyed: static tensors may outlive everything else
    return *backend;
}

Backend& cpu_backend() {
    static auto* backend = new CpuBackend;  // never destroyed, as above
    return *backend;
}

Backend& backend_for(Device device) {
    BACKLIGHT_CHECK(device.kind == Device::Kind::cpu, "backend: none for ", name_of(device),
                    "; this build has cpu and reference");
    return scoped_backend != nullptr ? *scoped_backend : cpu_backend();
}

BackendScope::BackendScope(Backend& backend) : previous_(scoped_backend) { scoped_backend = &backend; }

BackendScope::~BackendScope() { scoped_backend = previous_; }

Shape conv2d_output_shape(const Conv2dAttrs& attrs, const Shape& x, const Shape& weight) {
    check_image("conv2d", x);
    BACKLIGHT_CHECK(weight.rank() == 4,
                    "conv2d: expected a weight of shape (O, Kh, Kw, C/groups), got shape ", weight);
    check_positive("conv2d", "kernel", {weight[1], weight[2]});
    check_positive("conv2d", "stride", attrs.stride);
    check_positive("conv2d", "dilation", attrs.dilation);
    check_padding("conv2d", attrs.padding);
    BACKLIGHT_CHECK(attrs.groups >= 1, "conv2d: expected groups >= 1, got ", attrs.groups);
    BACKLIGHT_CHECK(weight[0] % attrs.groups == 0, "conv2d: ", attrs.groups, " groups do not divide the ",
                    weight[0], " output channels of the weight of shape ", weight);
    BACKLIGHT_CHECK(x[3] == weight[3] * attrs.groups, "conv2d: weight expects ", weight[3] * attrs.groups,
                    " input channels, got x of shape ", x);
    const Tiling height{x[1], attrs.padding.top, attrs.padding.bottom,
                        attrs.dilation[0] * (weight[1] - 1) + 1, attrs.stride[0]};
    const Tiling width{x[2], attrs.padding.left, attrs.padding.right, attrs.dilation[1] * (weight[2] - 1) + 1,
                       attrs.stride[1]};
    return windows_shape("conv2d", x, height, width, false, weight[0]);
}

Shape pool_output_shape(const PoolAttrs& attrs, const Shape& x) {
    check_image("pool", x);
    check_positive("pool", "kernel", attrs.kernel);
    check_positive("pool", "stride", attrs.stride);
    check_padding("pool", attrs.padding);
    const Padding& p = attrs.padding;
    // Then every window meets the image: there is always something to take the maximum of.
    BACKLIGHT_CHECK(p.top < attrs.kernel[0] && p.bottom < attrs.kernel[0] && p.left < attrs.kernel[1] &&
                        p.right < attrs.kernel[1],
                    "pool: expected a padding less than the kernel ", attrs.kernel[0], " x ", attrs.kernel[1],
                    ", got top ", p.top, ", left ", p.left, ", bottom ", p.bottom, ", right ", p.right);
    BACKLIGHT_CHECK(x[1] >= 1 && x[2] >= 1, "pool: expected an image of at least one pixel, got x of shape ",
                    x);
    const Tiling height{x[1], p.top, p.bottom, attrs.kernel[0], attrs.stride[0]};
    const Tiling width{x[2], p.left, p.right, attrs.kernel[1], attrs.stride[1]};
    return windows_shape("pool", x, height, width, attrs.ceil_mode, x[3]);
}

// OpenMP keeps the number for each thread that starts a team; those that ask `threads()` share the process's.
void set_threads(int threads) {
    BACKLIGHT_CHECK(threads >= 0, "set_threads: expected a number >= 0, got ", threads);
    static const int kDefault = omp_get_max_threads();
    requested_threads = threads;
    omp_set_num_threads(threads > 0 ? threads : kDefault);
}

int threads() {
    const int requested = requested_threads;
    return requested > 0 ? requested : omp_get_max_threads();
}

}  // namespace backlight
