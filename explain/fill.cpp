#include "explain/fill.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

/// Far from the steps of the methods' own draws, which count from 0.
constexpr uint64_t kNoiseStep = uint64_t{1} << 40U;

/// One value a channel, from none (the fallback), one or all of them.
std::vector<double> by_channel(const std::vector<double>& values, int64_t channels, double fallback,
                               const char* what) {
    const auto count = static_cast<size_t>(channels);
    if (values.size() <= 1) {
        return std::vector<double>(count, values.empty() ? fallback : values[0]);
    }
    BACKLIGHT_CHECK(values.size() == count, "fill: the data state ", values.size(), " values of ", what,
                    ", the input has ", channels, " channels");
    return values;
}

Tensor everywhere(const std::vector<double>& channels, const Tensor& x) {
    const Tensor row = Tensor::from(channels, {static_cast<int64_t>(channels.size())}, x.device());
    return broadcast_to(Variable(row.to(x.dtype())), x.shape()).data();
}

Tensor black(const Tensor& x, const ExplainContext& context) {
    std::vector<double> level = by_channel(context.mean, x.dim(-1), 0, "mean");
    const std::vector<double> std = by_channel(context.std, x.dim(-1), 1, "std");
    for (size_t c = 0; c < level.size(); ++c) {
        level[c] = -level[c] / std[c];
    }
    return everywhere(level, x);
}

Tensor blur(const Tensor& x, const Fill& fill) {
    BACKLIGHT_CHECK(x.rank() == 4, "fill=blur: expected pictures (N,H,W,C), got ", x.shape());
    BACKLIGHT_CHECK(fill.kernel >= 1 && fill.kernel % 2 == 1 && fill.sigma > 0,
                    "fill=blur: expected an odd kernel and sigma > 0, got ", fill.kernel, " and ",
                    fill.sigma);
    const int64_t channels = x.dim(3), half = fill.kernel / 2;
    std::vector<double> window;
    for (int64_t c = 0; c < channels; ++c) {
        for (int64_t k = -half; k <= half; ++k) {
            const double distance = static_cast<double>(k) / fill.sigma;
            window.push_back(std::exp(-distance * distance / 2));
        }
    }
    const Tensor column = Tensor::from(window, {channels, fill.kernel, 1, 1}, x.device()).to(x.dtype());
    const Tensor row = column.reshape({channels, 1, fill.kernel, 1});
    const auto sum_under = [&](const Tensor& image) {  // a Gaussian is the product of its two profiles
        const Variable down =
            conv2d(Variable(image), Variable(column), {}, {.padding = {half, 0}, .groups = channels});
        return conv2d(down, Variable(row), {}, {.padding = {0, half}, .groups = channels});
    };
    const Tensor ones = Tensor::ones(x.shape().with(0, 1), x.dtype(), x.device());
    return (sum_under(x) / sum_under(ones)).data();
}

Tensor noise(const Tensor& x, const ExplainContext& context, const std::vector<int64_t>& numbers) {
    BACKLIGHT_CHECK(!context.low.empty() && !context.high.empty(),
                    "fill=noise: needs the input range, which neither the data nor the model states");
    const std::vector<double> low = by_channel(context.low, x.dim(-1), 0, "low");
    const std::vector<double> high = by_channel(context.high, x.dim(-1), 1, "high");
    const int64_t row = x.numel() / std::max<int64_t>(x.dim(0), 1);
    std::vector<double> values;
    values.reserve(static_cast<size_t>(x.numel()));
    for (int64_t n = 0; n < x.dim(0); ++n) {
        const int64_t number = numbers.empty() ? n : numbers.at(static_cast<size_t>(n));
        RandomStream stream(RandomKey{.seed = context.seed,
                                      .purpose = purpose::kExplainer,
                                      .step = kNoiseStep,
                                      .sample = static_cast<uint32_t>(number)});
        for (int64_t i = 0; i < row; ++i) {
            const auto c = static_cast<size_t>(i % x.dim(-1));
            values.push_back(stream.uniform(low[c], high[c]));
        }
    }
    return Tensor::from(values, x.shape(), x.device()).to(x.dtype());
}

}  // namespace

const std::vector<std::string>& known_fills() {
    static const std::vector<std::string> kinds = {"zero", "black", "mean", "blur", "noise", "min"};
    return kinds;
}

Fill read_fill(const Options& options, const std::string& fallback, const std::vector<std::string>& more) {
    std::vector<std::string> kinds = known_fills();
    kinds.insert(kinds.end(), more.begin(), more.end());
    Fill fill{.kind = options.choose("fill", fallback, kinds)};
    if (fill.kind == "blur") {
        fill.kernel = options.get_within("kernel", fill.kernel, 1, 1001);
        fill.sigma = options.get_within("sigma", fill.sigma, 1e-3, 1e3);
        BACKLIGHT_CHECK(fill.kernel % 2 == 1, options.owner(),
                        ": the kernel of a blur has a middle: it is odd, not ", fill.kernel);
    }
    return fill;
}

std::string text_of(const Fill& fill) {
    const Fill usual;
    const bool plain = fill.kind != "blur" || (fill.kernel == usual.kernel && fill.sigma == usual.sigma);
    return plain ? fill.kind : concat_text("blur(kernel=", fill.kernel, ", sigma=", fill.sigma, ")");
}

Tensor filled(const Tensor& x, const Fill& fill, const ExplainContext& context,
              const std::vector<int64_t>& numbers) {
    const NoGrad off;
    const std::vector<int> positions = x.rank() == 4 ? std::vector<int>{1, 2} : std::vector<int>{1};
    const std::vector<int> values = x.rank() == 4 ? std::vector<int>{1, 2, 3} : std::vector<int>{1};
    if (fill.kind == "zero") {
        return Tensor::zeros(x.shape(), x.dtype(), x.device());
    }
    if (fill.kind == "black") {
        return black(x, context);
    }
    if (fill.kind == "mean") {
        return broadcast_to(mean(Variable(x), positions, true), x.shape()).data();
    }
    if (fill.kind == "blur") {
        return blur(x, fill);
    }
    if (fill.kind == "noise") {
        return noise(x, context, numbers);
    }
    BACKLIGHT_CHECK(fill.kind == "min", unknown_name("fill", fill.kind, known_fills()));
    return broadcast_to(amin(Variable(x), values, true), x.shape()).data();
}

}  // namespace backlight
