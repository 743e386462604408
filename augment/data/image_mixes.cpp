// Augmentations without an explanation, the controls of those with one. They draw by seed, step and sample.
#include <algorithm>
#include <cmath>
#include <optional>

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

/// Of the whole batch. A step may have several batches, which begin with different samples.
RandomStream batch_stream(const TrainingStep& step, const std::string& owner) {
    return stream_of(step, owner, 0);
}

void check_pictures(const TrainingRun& run, const std::string& who) {
    BACKLIGHT_CHECK(run.data->sample_shape().rank() == 3, who, ": needs pictures (H,W,C), the samples are ",
                    run.data->sample_shape());
}

struct Box {
    int64_t top = 0, left = 0, bottom = 0, right = 0;
    [[nodiscard]] double area() const { return static_cast<double>((bottom - top) * (right - left)); }
};

/// Centred at a uniform pixel, clipped at the border.
Box draw_box(RandomStream& stream, int64_t height, int64_t width, int64_t box_height, int64_t box_width) {
    const int64_t top = stream.below(height) - box_height / 2, left = stream.below(width) - box_width / 2;
    return {std::max<int64_t>(top, 0), std::max<int64_t>(left, 0), std::min(top + box_height, height),
            std::min(left + box_width, width)};
}

/// (N,H,W,1), 1 inside each sample's box.
Tensor mask_of(const std::vector<Box>& boxes, const Shape& shape) {
    std::vector<float> mask(static_cast<size_t>(shape[0] * shape[1] * shape[2]), 0.0f);
    for (size_t n = 0; n < boxes.size(); ++n) {
        for (int64_t h = boxes[n].top; h < boxes[n].bottom; ++h) {
            for (int64_t w = boxes[n].left; w < boxes[n].right; ++w) {
                mask[(n * static_cast<size_t>(shape[1]) + static_cast<size_t>(h)) *
                         static_cast<size_t>(shape[2]) +
                     static_cast<size_t>(w)] = 1;
            }
        }
    }
    return Tensor::from(mask, {shape[0], shape[1], shape[2], 1});
}

/// (N,K): the distribution over classes that a batch's samples stand for.
Tensor distribution_of(const Batch& batch, int64_t classes) {
    if (batch.soft_label.defined()) {
        return batch.soft_label;
    }
    return scatter_last(Variable(Tensor::ones({batch.size()}, DType::f32)), batch.label, classes).data();
}

/// share of each sample's own label, the rest is the partner's; labels of several classes mix likewise.
void mix_labels(TrainingStep& step, const Tensor& partner, const Variable& share) {
    Batch& batch = step.batch;
    const auto mixed = [&](const Tensor& own) {
        return (Variable(own) * share + gather_rows(Variable(own), partner) * (1.0 - share)).data();
    };
    if (batch.target.defined()) {
        batch.target = mixed(batch.target);
        batch.target_weight = mixed(batch.target_weight);
    } else {
        batch.soft_label = mixed(distribution_of(batch, step.run.model->classes));
    }
}

/// Beta(a,a) from two gamma draws (Marsaglia and Tsang, "A simple method for generating gamma variables",
/// 2000).
double draw_gamma(RandomStream& stream, double shape) {
    if (shape < 1) {
        return draw_gamma(stream, shape + 1) * std::pow(stream.uniform(), 1 / shape);
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
        const double x = stream.normal();
        const double v = std::pow(1 + c * x, 3);
        if (v > 0 && std::log(stream.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
            return d * v;
        }
    }
}
double draw_beta(RandomStream& stream, double a) {
    const double x = draw_gamma(stream, a), y = draw_gamma(stream, a);
    // Where a is tiny both may be too small for a double; the ratio is then 0 or 1.
    return x + y > 0 ? x / (x + y) : static_cast<double>(stream.below(2));
}

class Cutout final : public Augmentation {
public:
    explicit Cutout(std::optional<int64_t> size) : size_(size) {}
    void begin(const TrainingRun& run) override { check_pictures(run, "cutout"); }
    void change_batch(TrainingStep& step) override {
        const NoGrad off;
        const Shape& shape = step.batch.input.shape();
        const int64_t size = size_.value_or(std::max<int64_t>(shape[1] / 2, 1));
        std::vector<Box> boxes;
        for (size_t n = 0; n < step.batch.indices.size(); ++n) {
            RandomStream stream = stream_of(step, "cutout", n);
            boxes.push_back(draw_box(stream, shape[1], shape[2], size, size));
        }
        step.batch.input = (Variable(step.batch.input) * (1.0 - Variable(mask_of(boxes, shape)))).data();
    }

private:
    std::optional<int64_t> size_;  // pixels; half the height
};

class CutMix final : public Augmentation {
public:
    CutMix(double probability, double alpha) : probability_(probability), alpha_(alpha) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the labels of a batch"}; }
    void begin(const TrainingRun& run) override { check_pictures(run, "cutmix"); }
    void change_batch(TrainingStep& step) override {
        const NoGrad off;
        RandomStream stream = batch_stream(step, "cutmix");
        if (stream.uniform() >= probability_) {
            return;
        }
        const Shape& shape = step.batch.input.shape();
        const double side = std::sqrt(1 - draw_beta(stream, alpha_));
        const Box box =
            draw_box(stream, shape[1], shape[2], std::llround(side * static_cast<double>(shape[1])),
                     std::llround(side * static_cast<double>(shape[2])));
        const Tensor partner = Tensor::from(stream.permutation(shape[0]), {shape[0]});
        const Variable mask(mask_of(std::vector<Box>(static_cast<size_t>(shape[0]), box), shape));
        const Variable x(step.batch.input);
        step.batch.input = (x * (1.0 - mask) + gather_rows(x, partner) * mask).data();
        const Variable inside = reshape(mask, {shape[0], shape[1], shape[2]});
        for (Tensor* marked : {&step.batch.mask, &step.batch.decoy_mask}) {
            if (marked->defined()) {
                const Variable own(*marked);
                *marked = (own * (1.0 - inside) + gather_rows(own, partner) * inside).data();
            }
        }
        const double share = 1 - box.area() / static_cast<double>(shape[1] * shape[2]);
        mix_labels(step, partner, Tensor::full({1, 1}, share, DType::f32));
    }

private:
    double probability_, alpha_;
};

class MixUp final : public Augmentation {
public:
    MixUp(double probability, double alpha) : probability_(probability), alpha_(alpha) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the labels of a batch"}; }
    void change_batch(TrainingStep& step) override {
        const NoGrad off;
        RandomStream stream = batch_stream(step, "mixup");
        if (stream.uniform() >= probability_) {
            return;
        }
        const double share = draw_beta(stream, alpha_);
        const int64_t samples = step.batch.size();
        const Tensor partner = Tensor::from(stream.permutation(samples), {samples});
        const Variable x(step.batch.input);
        step.batch.input = (x * share + gather_rows(x, partner) * (1 - share)).data();
        // A pixel of two pictures may matter if it may in one, and must not where it must not in both.
        Batch& batch = step.batch;
        if (batch.mask.defined()) {
            batch.mask = maximum(Variable(batch.mask), gather_rows(Variable(batch.mask), partner)).data();
        }
        if (batch.decoy_mask.defined()) {
            batch.decoy_mask =
                minimum(Variable(batch.decoy_mask), gather_rows(Variable(batch.decoy_mask), partner)).data();
        }
        mix_labels(step, partner, Tensor::full({1, 1}, share, DType::f32));
    }

private:
    double probability_, alpha_;
};

}  // namespace

std::unique_ptr<Augmentation> build_cutout(const Options& options) {
    return std::make_unique<Cutout>(
        options.has("size") ? std::optional(options.get_within("size", 0, 0, 100'000)) : std::nullopt);
}
std::unique_ptr<Augmentation> build_cutmix(const Options& options) {
    const double p = options.get_within("p", 0.5, 0.0, 1.0);
    return std::make_unique<CutMix>(p, options.get_within("alpha", 1.0, 1e-3, 1e3));
}
std::unique_ptr<Augmentation> build_mixup(const Options& options) {
    const double p = options.get_within("p", 1.0, 0.0, 1.0);
    return std::make_unique<MixUp>(p, options.get_within("alpha", 1.0, 1e-3, 1e3));
}

}  // namespace backlight
