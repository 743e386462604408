// Attention by explanation: features that matter for the class are enlarged, those that speak against it are
// made smaller.
//   h' = M ⊙ h,   M = 1/2 + (r' + 1)/2  in [1/2, 3/2],   r' = r / max |r| of each sample
// with the relevance r of the features for the true class. The loss is that of the masked forward pass; tests
// run without a mask. `strength` s scales it around one, M = 1 + s r'/2. Weber et al., "Beyond explaining",
// 2022, Eq. 1 and 22.
//
// The start of the relevance decides what the mask can tell. With start=one the epsilon rule divides by the
// target's logit, so that features of a rejected class are enlarged too; with start=logit the mask always
// pushes towards the label, the network reads the label from the mask, and does worse without it.
#include "augment/features/feature_factor.h"
#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {
namespace {

enum class Mask : uint8_t { relevance, shuffled, random };

class Attention final : public FeatureFactor {
public:
    Attention(Config config, Mask mask, double strength)
        : FeatureFactor(std::move(config)), mask_(mask), strength_(strength) {}

protected:
    [[nodiscard]] bool is_identity() const override { return strength_ == 0; }

    [[nodiscard]] Tensor factor(const TrainingStep& step, const Tensor& features,
                                const Tensor& relevance) override {
        const Tensor r = mask_ == Mask::random ? drawn(step, features.shape()) : maxabs_by_sample(relevance);
        const Tensor share = mask_ == Mask::shuffled ? shuffled(step, r) : r;
        return (1.0 + Variable(share) * (0.5 * strength_)).data();
    }

private:
    /// U(-1, 1): the mask is then U(1/2, 3/2).
    [[nodiscard]] Tensor drawn(const TrainingStep& step, const Shape& shape) const {
        std::vector<float> values(static_cast<size_t>(shape.numel()));
        const size_t features = values.size() / static_cast<size_t>(shape[0]);
        for (size_t n = 0; n * features < values.size(); ++n) {
            stream_of(step, n).fill_uniform(std::span(values).subspan(n * features, features), -1.0f, 1.0f);
        }
        return Tensor::from(values, shape);
    }

    /// The same values at other features of the sample.
    [[nodiscard]] Tensor shuffled(const TrainingStep& step, const Tensor& r) const {
        auto values = r.to(DType::f64).to_vector<double>();
        const size_t features = values.size() / static_cast<size_t>(r.dim(0));
        for (size_t n = 0; n * features < values.size(); ++n) {
            stream_of(step, n).shuffle(std::span(values).subspan(n * features, features));
        }
        return Tensor::from(values, r.shape()).to(r.dtype());
    }

    Mask mask_;
    double strength_;
};

}  // namespace

std::unique_ptr<Augmentation> build_attention(const Options& options) {
    const std::string text = options.choose("mask", "relevance", {"relevance", "shuffled", "random"});
    const Mask mask = text == "random" ? Mask::random : text == "shuffled" ? Mask::shuffled : Mask::relevance;
    FeatureFactor::Config config = read_feature_options(options, "epsilon(start=one)");
    if (mask == Mask::random) {
        options.refuse({"explainer", "target"}, "mask=random explains nothing");
        config.explainer.clear();
    }
    return std::make_unique<Attention>(std::move(config), mask,
                                       options.get_within("strength", 1.0, 0.0, 2.0));
}

}  // namespace backlight
