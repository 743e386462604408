#include "explain/metrics/perturb.h"

#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/metrics/builders.h"

namespace backlight {
namespace {

/// One value, or one a channel, of the last axis.
double of_channel(const std::vector<double>& values, int64_t channel, double fallback) {
    if (values.empty()) {
        return fallback;
    }
    return values.size() == 1 ? values[0] : values.at(static_cast<size_t>(channel));
}

/// The same value of each channel everywhere.
Tensor constant_image(const Tensor& x, const std::vector<double>& channels) {
    const Tensor row = Tensor::from(channels, {static_cast<int64_t>(channels.size())}).to(x.device());
    return broadcast_to(Variable(row.to(x.dtype())), x.shape()).data();
}

Tensor black(const Tensor& x, const FillContext& context) {
    std::vector<double> channels;
    for (int64_t c = 0; c < x.dim(-1); ++c) {
        channels.push_back((0 - of_channel(context.mean, c, 0)) / of_channel(context.std, c, 1));
    }
    return constant_image(x, channels);
}

/// A separable window; dividing by what it gives of ones makes a constant picture its own blur.
Tensor blur(const Tensor& x, const FillContext& context) {
    BACKLIGHT_CHECK(x.rank() == 4, "fill blur: expected pictures (N,H,W,C), got ", x.shape());
    const int64_t kernel = context.blur_kernel, channels = x.dim(3);
    BACKLIGHT_CHECK(kernel >= 1 && kernel % 2 == 1 && context.blur_sigma > 0,
                    "fill blur: expected an odd kernel and sigma > 0, got ", kernel, " and ",
                    context.blur_sigma);
    std::vector<double> weights;
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t k = 0; k < kernel; ++k) {
            const auto distance = static_cast<double>(k - kernel / 2);
            weights.push_back(std::exp(-distance * distance / (2 * context.blur_sigma * context.blur_sigma)));
        }
    }
    const Tensor column = Tensor::from(weights, {channels, kernel, 1, 1}).to(x.dtype()).to(x.device());
    const Tensor row = column.reshape({channels, 1, kernel, 1});
    const auto both = [&](const Variable& image) {
        const Variable down =
            conv2d(image, Variable(column), {}, {.padding = {kernel / 2, 0}, .groups = channels});
        return conv2d(down, Variable(row), {}, {.padding = {0, kernel / 2}, .groups = channels});
    };
    const Tensor ones = Tensor::ones(x.shape().with(0, 1), x.dtype(), x.device());
    return (both(Variable(x)) / both(Variable(ones))).data();
}

Tensor noise(const Tensor& x, const FillContext& context) {
    BACKLIGHT_CHECK(!context.low.empty() && !context.high.empty(),
                    "fill noise: needs the input range, which neither the data nor the model states");
    BACKLIGHT_CHECK(static_cast<int64_t>(context.sample.size()) == x.dim(0), "fill noise: expected ",
                    x.dim(0), " sample numbers, got ", context.sample.size());
    const MetricContext keyed{.explain = {.seed = context.seed}};
    std::vector<float> values(static_cast<size_t>(x.numel()));
    const size_t row = values.size() / context.sample.size();
    const auto channels = static_cast<size_t>(x.dim(-1));
    for (size_t n = 0; n < context.sample.size(); ++n) {
        const std::span<float> part = std::span(values).subspan(n * row, row);
        RandomStream(draw_key(keyed, Draw::fill, context.sample[n])).fill_uniform(part);
        for (size_t i = 0; i < row; ++i) {
            const auto c = static_cast<int64_t>(i % channels);
            const double low = of_channel(context.low, c, 0), high = of_channel(context.high, c, 1);
            part[i] = static_cast<float>(low + (high - low) * part[i]);
        }
    }
    return Tensor::from(values, x.shape()).to(x.dtype()).to(x.device());
}

}  // namespace

const std::vector<std::string>& fill_kinds() {
    static const std::vector<std::string> kinds = {"zero", "black", "mean", "blur", "noise", "min"};
    return kinds;
}

Tensor fill_image(const Tensor& x, const std::string& kind, const FillContext& context) {
    const NoGrad off;
    const std::vector<int> pixels = x.rank() == 4 ? std::vector<int>{1, 2} : std::vector<int>{1};
    const std::vector<int> all = x.rank() == 4 ? std::vector<int>{1, 2, 3} : std::vector<int>{1};
    if (kind == "zero") {
        return Tensor::zeros(x.shape(), x.dtype(), x.device());
    }
    if (kind == "black") {
        return black(x, context);
    }
    if (kind == "mean") {
        return broadcast_to(mean(Variable(x), pixels, true), x.shape()).data();
    }
    if (kind == "blur") {
        return blur(x, context);
    }
    if (kind == "noise") {
        return noise(x, context);
    }
    if (kind == "min") {
        return broadcast_to(amin(Variable(x), all, true), x.shape()).data();
    }
    throw_error(unknown_name("fill", kind, fill_kinds()));
}

Tensor FillOption::of(const Tensor& x, const ExplainContext& data, const std::vector<int64_t>& sample) const {
    return fill_image(x, kind,
                      {.low = data.low,
                       .high = data.high,
                       .mean = data.mean,
                       .std = data.std,
                       .seed = data.seed,
                       .sample = sample,
                       .blur_kernel = kernel,
                       .blur_sigma = sigma});
}

FillOption fill_option(const Options& options, const std::string& fallback) {
    FillOption fill{.kind = options.choose("fill", fallback, fill_kinds())};
    fill.tag = fill.kind;
    if (fill.kind == "blur") {
        fill.kernel = options.get_within("kernel", fill.kernel, 1, 1001);
        fill.sigma = options.get_within("sigma", fill.sigma, 1e-3, 1e3);
        for (const char* key : {"kernel", "sigma"}) {
            const std::string tag = option_tag(options, key);
            fill.tag += tag.empty() ? "" : "," + tag;
        }
    }
    return fill;
}

}  // namespace backlight
