// Softmax, its logarithm, the losses, and dropout.
//   y_i = e_i / Σ_k e_k,  e_k = exp(x_k - max x)      the shift cancels and keeps exp in range
//   dy_i/dx_j = y_i (1[i=j] - y_j),  hence  d_x = y (d_y - Σ_k d_y_k y_k);   of log y:  d_x = d_y - y Σ_k
//   d_y_k
#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

void check_rows(std::string_view who, const Variable& x) {
    BACKLIGHT_CHECK(x.rank() >= 1 && is_floating(x.dtype()), who,
                    ": expected a floating tensor with at least one axis, got ", x.dtype(), ' ', x.shape());
}

/// Labels are data from outside.
void check_labels(const Tensor& labels, int64_t classes) {
    BACKLIGHT_CHECK(labels.dtype() == DType::i64, "cross_entropy: expected int64 labels, got ",
                    labels.dtype());
    const std::vector<int64_t> values = labels.to_vector<int64_t>();
    for (size_t i = 0; i < values.size(); ++i) {
        BACKLIGHT_CHECK(values[i] >= 0 && values[i] < classes, "cross_entropy: label ", values[i],
                        " of sample ", i, " is out of range 0..", classes - 1);
    }
}

class Softmax final : public Op {
public:
    [[nodiscard]] std::string_view kind() const override { return "softmax"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, true}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        check_rows("softmax", inputs[0]);
        Tensor y = Tensor::empty_like(inputs[0].data());
        y.backend().softmax(inputs[0].data(), y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        const Variable y = node.output();
        return {y * (d_y - sum(d_y * y, {-1}, true))};
    }
};

class LogSoftmax final : public Op {
public:
    [[nodiscard]] std::string_view kind() const override { return "log_softmax"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, true}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        check_rows("log_softmax", inputs[0]);
        Tensor y = Tensor::empty_like(inputs[0].data());
        y.backend().log_softmax(inputs[0].data(), y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {d_y - exp(node.output()) * sum(d_y, {-1}, true)};
    }
};

class Dropout final : public Op {
public:
    Dropout(double p, const RandomKey& key) : p_(p), key_(key) {}
    [[nodiscard]] std::string_view kind() const override { return "dropout"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const NoGrad off;
        const Tensor& x = inputs[0].data();
        Tensor kept = Tensor::empty_like(x);
        x.backend().random_bernoulli(kept, 1.0 - p_, key_);
        const Tensor factor = (Variable(kept) * (1.0 / (1.0 - p_))).data();
        return {(Variable(x) * Variable(factor)).data(), {factor}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {d_y * Variable(node.kept(0))};
    }

private:
    double p_;
    RandomKey key_;
};

}  // namespace

Variable softmax(const Variable& x) {
    static const OpPtr op = std::make_shared<Softmax>();
    return call(op, {x});
}

Variable log_softmax(const Variable& x) {
    static const OpPtr op = std::make_shared<LogSoftmax>();
    return call(op, {x});
}

namespace {

void check_cross_entropy(const Variable& logits, const Tensor& labels, double label_smoothing,
                         const Tensor& class_weight) {
    BACKLIGHT_CHECK(logits.rank() == 2 && labels.shape() == Shape{logits.dim(0)},
                    "cross_entropy: expected logits (N,K) and labels (N), got ", logits.shape(), " and ",
                    labels.shape());
    BACKLIGHT_CHECK(label_smoothing >= 0 && label_smoothing < 1,
                    "cross_entropy: expected 0 <= label_smoothing < 1, got ", label_smoothing);
    BACKLIGHT_CHECK(!class_weight.defined() || class_weight.shape() == Shape{logits.dim(1)},
                    "cross_entropy: expected ", logits.dim(1), " class weights, got ", class_weight.shape());
    check_labels(labels, logits.dim(1));
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Tensor& labels, double label_smoothing,
                       const Tensor& class_weight) {
    if (class_weight.defined()) {
        const Variable summed = cross_entropy_sum(logits, labels, label_smoothing, class_weight);
        return summed / sum(gather_rows(Variable(class_weight), labels));
    }
    check_cross_entropy(logits, labels, label_smoothing, class_weight);
    const Variable log_p = log_softmax(logits);
    const Variable loss = -mean(gather_last(log_p, labels));
    return label_smoothing > 0 ? loss * (1.0 - label_smoothing) - mean(log_p) * label_smoothing : loss;
}

Variable cross_entropy_sum(const Variable& logits, const Tensor& labels, double label_smoothing,
                           const Tensor& class_weight) {
    check_cross_entropy(logits, labels, label_smoothing, class_weight);
    const Variable log_p = log_softmax(logits);
    const bool weighted = class_weight.defined();
    const auto sum_of = [&](const Variable& x, const Variable& weight) {
        return weighted ? sum(x * weight) : sum(x);
    };
    const Variable sample_weight = weighted ? gather_rows(Variable(class_weight), labels) : Variable();
    const Variable loss = -sum_of(gather_last(log_p, labels), sample_weight);
    if (label_smoothing == 0) {
        return loss;
    }
    // PyTorch: the smoothed part weights each class by its own weight.
    const Variable spread = sum_of(log_p, Variable(class_weight)) / static_cast<double>(logits.dim(1));
    return loss * (1.0 - label_smoothing) - spread * label_smoothing;
}

Variable binary_cross_entropy_with_logits(const Variable& logits, const Variable& targets,
                                          const Tensor& weight) {
    BACKLIGHT_CHECK(logits.shape() == targets.shape(),
                    "binary_cross_entropy_with_logits: expected targets of shape ", logits.shape(), ", got ",
                    targets.shape());
    // -t log σ(x) - (1-t) log(1 - σ(x)) = softplus(x) - t x
    const Variable elements = softplus(logits) - targets * logits;
    if (!weight.defined()) {
        return mean(elements);
    }
    BACKLIGHT_CHECK(weight.shape() == logits.shape(),
                    "binary_cross_entropy_with_logits: expected a weight of shape ", logits.shape(), ", got ",
                    weight.shape());
    const Variable w(weight.to(logits.dtype()));
    const double total = sum(w).item();
    return sum(elements * w) * (total > 0 ? 1.0 / total : 0.0);
}

Variable mse_loss(const Variable& prediction, const Variable& target) {
    BACKLIGHT_CHECK(prediction.shape() == target.shape(), "mse_loss: expected a target of shape ",
                    prediction.shape(), ", got ", target.shape());
    return mean(square(prediction - target));
}

Variable dropout(const Variable& x, double p, const RandomKey& key) {
    BACKLIGHT_CHECK(p >= 0 && p < 1, "dropout: expected 0 <= p < 1, got ", p);
    return p == 0 ? x : call(std::make_shared<Dropout>(p, key), {x});
}

}  // namespace backlight
