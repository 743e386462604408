// SmoothGrad and its relatives: the mean, the mean square or the variance of a method's maps over noisy
// copies of the input. Any method may be the one that is averaged.
//   Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017; Hooker et al., "A benchmark for
//   interpretability methods in deep neural networks", 2019 (squared); Adebayo et al., "Local explanation
//   methods for deep neural networks lack sensitivity to parameter values", 2018 (variance).
#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/methods.h"
#include "explain/rows.h"

namespace backlight {
namespace {

enum class Moment : uint8_t { mean, square, variance };

class SmoothGrad final : public Explainer {
public:
    struct Config {
        std::string name;
        Moment moment = Moment::mean;
        int64_t samples = 20;
        double noise_level = 0.1;
        uint64_t seed = 0;
    };
    SmoothGrad(Config config, std::unique_ptr<Explainer> method,
               std::function<void(int64_t, int64_t)> progress)
        : config_(std::move(config)), method_(std::move(method)), progress_(std::move(progress)) {}
    [[nodiscard]] std::string name() const override { return config_.name; }
    [[nodiscard]] Start start() const override { return method_->start(); }
    [[nodiscard]] bool differentiable() const override { return method_->differentiable(); }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const Tensor& x = forward.input().data();
        std::vector<Variables> passes;  // [pass][layer], of the shape (copies, N, ...)
        Explanation averaged;           // says of itself what the averaged maps do
        for_each_pass(config_.samples, x.shape(), progress_, [&](int64_t first, int64_t count) {
            const Explanation found = method_->explain(forward.at(noisy(x, request, first, count)),
                                                       repeat_request(request, count), create_graph);
            Variables maps;
            for (const Variable& map : found.maps) {
                maps.push_back(split_copies(map, count));
            }
            passes.push_back(std::move(maps));
            averaged.coarse = found.coarse;
            averaged.notes = found.notes;
        });
        for (size_t layer = 0; layer < passes[0].size(); ++layer) {
            Variables of_layer;
            for (const Variables& maps : passes) {
                of_layer.push_back(maps[layer]);
            }
            averaged.maps.push_back(moment(concat(of_layer, 0)));
        }
        return averaged;
    }

private:
    /// The copies `first` and on; the noise of a copy depends on seed, sample and copy alone.
    [[nodiscard]] Tensor noisy(const Tensor& x, const ExplainRequest& request, int64_t first,
                               int64_t count) const {
        const auto values = x.to(DType::f64).to_vector<double>();
        const auto samples = static_cast<size_t>(x.dim(0));
        const size_t size = values.size() / std::max<size_t>(samples, 1);
        std::vector<double> rows;
        rows.reserve(values.size() * static_cast<size_t>(count));
        for (int64_t copy = first; copy < first + count; ++copy) {
            for (size_t n = 0; n < samples; ++n) {
                const auto begin = values.begin() + static_cast<int64_t>(n * size);
                const auto [low, high] = std::minmax_element(begin, begin + static_cast<int64_t>(size));
                const double deviation = config_.noise_level * (*high - *low);
                RandomStream stream(
                    RandomKey{.seed = config_.seed,
                              .purpose = purpose::kExplainer,
                              .step = static_cast<uint64_t>(copy),
                              .sample = static_cast<uint32_t>(request.number(static_cast<int64_t>(n)))});
                std::transform(begin, begin + static_cast<int64_t>(size), std::back_inserter(rows),
                               [&](double v) { return v + deviation * stream.normal(); });
            }
        }
        return Tensor::from(rows, x.shape().with(0, x.dim(0) * count), x.device()).to(x.dtype());
    }

    [[nodiscard]] Variable moment(const Variable& maps) const {
        switch (config_.moment) {
            case Moment::mean:
                return mean(maps, {0});
            case Moment::square:
                return mean(square(maps), {0});
            case Moment::variance:
                return mean(square(maps - mean(maps, {0}, true)), {0});
        }
        return {};
    }

    Config config_;
    std::unique_ptr<Explainer> method_;
    std::function<void(int64_t, int64_t)> progress_;
};

std::unique_ptr<Explainer> build(const std::string& name, Moment moment, const Options& options,
                                 const ExplainContext& context) {
    SmoothGrad::Config config{.name = name,
                              .moment = moment,
                              .samples = options.get_within("n", 20, 1, 100'000),
                              .noise_level = options.get_within("noise_level", 0.1, 0.0, 100.0),
                              .seed = context.seed};
    auto method = build_method(options.get("method", "gradient"), context);
    return std::make_unique<SmoothGrad>(std::move(config), std::move(method), context.progress);
}

}  // namespace

std::unique_ptr<Explainer> build_smoothgrad(const Options& options, const ExplainContext& context) {
    return build("smoothgrad", Moment::mean, options, context);
}
std::unique_ptr<Explainer> build_smoothgrad_sq(const Options& options, const ExplainContext& context) {
    return build("smoothgrad_sq", Moment::square, options, context);
}
std::unique_ptr<Explainer> build_vargrad(const Options& options, const ExplainContext& context) {
    return build("vargrad", Moment::variance, options, context);
}

}  // namespace backlight
