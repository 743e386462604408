#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "datasets/loader.h"
#include "train/average_precision.h"

namespace backlight {

std::vector<double> Evaluation::class_accuracy() const {
    std::vector<double> accuracies;
    for (size_t label = 0; label < confusion.size(); ++label) {
        const int64_t count = std::accumulate(confusion[label].begin(), confusion[label].end(), int64_t{0});
        accuracies.push_back(count > 0
                                 ? static_cast<double>(confusion[label][label]) / static_cast<double>(count)
                                 : std::numeric_limits<double>::quiet_NaN());
    }
    return accuracies;
}

double ClassSpread::balance() const { return mean / std::max(deviation, 1e-6); }

ClassSpread Evaluation::class_spread() const {
    std::vector<double> known = is_multi_label() ? average_precision : class_accuracy();
    std::erase_if(known, [](double p) { return !std::isfinite(p); });
    if (known.empty()) {
        constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
        return {kNone, kNone, kNone};
    }
    const auto count = static_cast<double>(known.size());
    ClassSpread spread{.mean = std::accumulate(known.begin(), known.end(), 0.0) / count,
                       .minimum = *std::min_element(known.begin(), known.end())};
    double squares = 0;
    for (const double p : known) {
        squares += (p - spread.mean) * (p - spread.mean);
    }
    spread.deviation = std::sqrt(squares / count);
    return spread;
}

namespace {

/// -log p of the label, in f64 and by itself: which samples come in one batch changes no bit of a sum of
/// them.
double cross_entropy_of(std::span<const double> logits, int64_t label) {
    const double highest = *std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const double logit : logits) {
        total += std::exp(logit - highest);
    }
    return highest + std::log(total) - logits[static_cast<size_t>(label)];
}

/// How many logits of the row go before the label's; of equal ones those of lower classes do.
int64_t rank_of(const std::vector<double>& logits, size_t row, size_t classes, int64_t label) {
    const double own = logits[row * classes + static_cast<size_t>(label)];
    int64_t before = 0;
    for (size_t k = 0; k < classes; ++k) {
        const double other = logits[row * classes + k];
        before += other > own || (other == own && static_cast<int64_t>(k) < label) ? 1 : 0;
    }
    return before;
}

/// Of several views of a sample: x (N*V,K) -> (N,K) whose softmax (sigmoid) is the mean of theirs.
///   softmax: y = log p̄, since Σ p̄ = 1;   sigmoid: y = log p̄ - log(mean of 1 - p)
Tensor average_views(const Tensor& logits, int64_t views, bool multi_label) {
    const int64_t samples = logits.dim(0) / views, classes = logits.dim(1);
    const Variable x = reshape(Variable(logits.to(DType::f64)), {samples, views, classes});
    const auto log_mean_exp = [&](const Variable& log_p) {
        const Variable highest = amax(log_p, {1}, true);
        const Variable mean_of_scaled = mean(exp(log_p - highest), {1}, true);
        return reshape(highest + log(mean_of_scaled), {samples, classes});
    };
    const Variable y =
        multi_label ? log_mean_exp(-softplus(-x)) - log_mean_exp(-softplus(x)) : log_mean_exp(log_softmax(x));
    return y.data().to(logits.dtype());
}

/// The parts of an evaluation, batch by batch.
class Tally {
public:
    Tally(const Dataset& data, int64_t top_k) : data_(data) {
        BACKLIGHT_CHECK(top_k == 0 || !data.is_multi_label(),
                        "evaluate: top-k accuracy needs one label a sample, the data is multi-label");
        result_.top_k = top_k;
    }

    void add(const Batch& batch, const Variable& logits) {
        if (data_.is_multi_label()) {
            BACKLIGHT_CHECK(logits.shape() == batch.target.shape(), "evaluate: multi-label data of ",
                            data_.num_classes(), " classes needs as many outputs, got ", logits.shape());
            append(logits_, logits.data());
            append(targets_, batch.target);
            append(weights_, batch.target_weight);
        } else {
            add_labelled(batch, logits);
        }
        result_.samples += batch.size();
    }

    [[nodiscard]] Evaluation result() {
        if (data_.is_multi_label()) {
            const Shape shape{result_.samples, data_.num_classes()};
            const Tensor logits = Tensor::from(logits_, shape), targets = Tensor::from(targets_, shape),
                         weights = Tensor::from(weights_, shape);
            result_.loss =
                binary_cross_entropy_with_logits(Variable(logits), Variable(targets), weights).item();
            result_.average_precision = class_average_precision(logits, targets, weights);
            result_.positives.resize(static_cast<size_t>(data_.num_classes()));
            for (size_t i = 0; i < targets_.size(); ++i) {  // of the samples that could be read
                result_.positives[i % result_.positives.size()] += targets_[i] > 0.5 ? 1 : 0;
            }
            result_.accuracy = std::numeric_limits<double>::quiet_NaN();
            return result_;
        }
        const double samples = static_cast<double>(std::max<int64_t>(result_.samples, 1));
        result_.loss /= samples;
        result_.accuracy /= samples;
        result_.top_k_accuracy /= samples;
        return result_;
    }

private:
    static void append(std::vector<double>& all, const Tensor& part) {
        const auto values = part.to(DType::f64).to_vector<double>();
        all.insert(all.end(), values.begin(), values.end());
    }

    void add_labelled(const Batch& batch, const Variable& logits) {
        const auto classes = static_cast<size_t>(logits.dim(1));
        result_.confusion.resize(classes, std::vector<int64_t>(classes));
        const auto labels = batch.label.to_vector<int64_t>();
        const auto predicted = argmax(logits.data(), 1).to_vector<int64_t>();
        const auto values = logits.data().to(DType::f64).to_vector<double>();
        for (size_t i = 0; i < labels.size(); ++i) {
            BACKLIGHT_CHECK(labels[i] >= 0 && labels[i] < logits.dim(1), "evaluate: label ", labels[i],
                            " of sample ", batch.indices[i], " is out of range 0..", logits.dim(1) - 1);
            result_.loss += cross_entropy_of(std::span(values).subspan(i * classes, classes), labels[i]);
            ++result_.confusion[static_cast<size_t>(labels[i])][static_cast<size_t>(predicted[i])];
            result_.accuracy += labels[i] == predicted[i] ? 1 : 0;
        }
        if (result_.top_k > 0) {
            BACKLIGHT_CHECK(result_.top_k <= logits.dim(1), "evaluate: expected top-k <= ", logits.dim(1),
                            ", got ", result_.top_k);
            for (size_t i = 0; i < labels.size(); ++i) {
                result_.top_k_accuracy += rank_of(values, i, classes, labels[i]) < result_.top_k ? 1 : 0;
            }
        }
    }

    const Dataset& data_;
    Evaluation result_;
    std::vector<double> logits_, targets_, weights_;  // (N, K), multi-label
};

}  // namespace

double Evaluation::score() const {
    return is_multi_label() ? mean_average_precision(average_precision) : accuracy;
}

int64_t default_batch(const Shape& sample) {
    constexpr int64_t kMost = 256, kPixels = int64_t{1} << 21;
    const int64_t pixels = sample.rank() == 3 ? sample[0] * sample[1] : 1;
    return std::clamp<int64_t>(kPixels / std::max<int64_t>(pixels, 1), 1, kMost);
}

Evaluation evaluate(Module& net, const Dataset& data, int64_t batch_size, int64_t top_k,
                    const std::shared_ptr<CorruptSamples>& corrupt) {
    const EvaluationMode mode(net);
    const NoGrad off;
    Tally tally(data, top_k);
    const int64_t views = data.views();
    const int64_t samples =
        batch_size > 0 ? std::max<int64_t>(batch_size / views, 1) : default_batch(data.sample_shape());
    Loader loader(std::shared_ptr<const Dataset>(&data, [](const Dataset*) {}),
                  {.batch_size = std::min(samples, std::max<int64_t>(data.size(), 1)),
                   .shuffle = false,
                   .augment = false,
                   .on_corrupt = corrupt ? OnCorrupt::leave_out : OnCorrupt::stop,
                   .corrupt = corrupt});
    while (const auto batch = loader.next()) {
        Variable input(batch->input);
        if (views > 1) {  // (N, V H, W, C) -> (N V, H, W, C)
            input = reshape(input, {batch->size() * views, input.dim(1) / views, input.dim(2), input.dim(3)});
        }
        Variable logits = net(input);
        BACKLIGHT_CHECK(logits.rank() == 2, "evaluate: expected logits (N,K), got ", logits.shape());
        if (views > 1) {
            logits = Variable(average_views(logits.data(), views, data.is_multi_label()));
        }
        tally.add(*batch, logits);
    }
    const Evaluation result = tally.result();
    BACKLIGHT_CHECK(result.samples > 0 || data.size() == 0, "evaluate: none of the ", data.size(),
                    " samples can be read");
    return result;
}

Tensor predict(Module& net, const Tensor& inputs, int64_t batch_size) {
    const EvaluationMode mode(net);
    const NoGrad off;
    Variables parts;
    const int64_t count = inputs.dim(0);
    if (batch_size == 0) {
        batch_size =
            default_batch(inputs.rank() == 4 ? Shape{inputs.dim(1), inputs.dim(2), inputs.dim(3)} : Shape{1});
    }
    for (int64_t start = 0; start == 0 || start < count; start += batch_size) {
        const int64_t extent = std::min(batch_size, count - start);
        parts.push_back(net(extent == count ? Variable(inputs) : slice(inputs, 0, start, extent)));
    }
    return concat(parts, 0).data();
}

}  // namespace backlight
