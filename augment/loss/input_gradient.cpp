// Input-gradient regularisation, or double backpropagation: L = mean_i l_i + lambda mean_i || dl_i/dx_i ||².
// Ross and Doshi-Velez, "Improving the adversarial robustness and interpretability of deep neural networks by
// regularizing their input gradients", AAAI 2018.
#include "augment/registry.h"
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"

namespace backlight {
namespace {

class InputGradient final : public Augmentation {
public:
    /// `uniform`: of the cross-entropy against the uniform distribution, insensitivity of the certainty.
    InputGradient(double lambda, bool uniform) : lambda_(lambda), uniform_(uniform) {}
    [[nodiscard]] bool reads_input_gradient() const override { return lambda_ != 0; }
    [[nodiscard]] bool reads_layers() const override { return lambda_ != 0; }

    void begin(const TrainingRun& run) override {
        BACKLIGHT_CHECK(!run.data->is_multi_label(),
                        "input_gradient: needs one label a sample, the data has several");
    }

    [[nodiscard]] Variable loss_term(TrainingStep& step) override {
        if (lambda_ == 0) {
            return {};
        }
        // dl/dz = p - t: the start of the backward pass, with its history
        const int64_t samples = step.logits.dim(0), classes = step.logits.dim(1);
        const Variable target = uniform_
                                    ? Variable(Tensor::full({1, classes}, 1.0 / static_cast<double>(classes),
                                                            step.logits.dtype()))
                                : step.batch.soft_label.defined()
                                    ? Variable(step.batch.soft_label)
                                    : scatter_last(Variable(Tensor::ones({samples}, step.logits.dtype())),
                                                   step.batch.label, classes);
        const Variable g = grad(step.logits, softmax(step.logits) - target, {step.input},
                                {.create_graph = true, .by_sample = true})[0];
        const Variable penalty = sum(square(g)) / static_cast<double>(samples);
        note("penalty", penalty.item());
        return penalty * lambda_;
    }

private:
    double lambda_;
    bool uniform_;
};

}  // namespace

std::unique_ptr<Augmentation> build_input_gradient(const Options& options) {
    const double lambda = options.get_within("lambda", 1.0, 0.0, 1e9);
    return std::make_unique<InputGradient>(
        lambda, options.choose("target", "label", {"label", "uniform"}) == "uniform");
}

}  // namespace backlight
