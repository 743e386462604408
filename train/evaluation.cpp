#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "datasets/loader.h"

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

namespace {

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

}  // namespace

Evaluation evaluate(Module& net, const Dataset& data, int64_t batch_size, int64_t top_k,
                    const std::shared_ptr<CorruptSamples>& corrupt) {
    const EvaluationMode mode(net);
    const NoGrad off;
    Evaluation result;
    Loader loader(std::shared_ptr<const Dataset>(&data, [](const Dataset*) {}),
                  {.batch_size = std::min(batch_size, std::max<int64_t>(data.size(), 1)),
                   .shuffle = false,
                   .augment = false,
                   .on_corrupt = corrupt ? OnCorrupt::leave_out : OnCorrupt::stop,
                   .corrupt = corrupt});
    while (const auto batch = loader.next()) {
        const Variable logits = net(Variable(batch->input));
        BACKLIGHT_CHECK(logits.rank() == 2, "evaluate: expected logits (N,K), got ", logits.shape());
        const auto classes = static_cast<size_t>(logits.dim(1));
        result.confusion.resize(classes, std::vector<int64_t>(classes));
        result.loss += cross_entropy(logits, batch->label).item() * static_cast<double>(batch->size());
        const auto labels = batch->label.to_vector<int64_t>();
        const auto predicted = argmax(logits.data(), 1).to_vector<int64_t>();
        for (size_t i = 0; i < labels.size(); ++i) {
            ++result.confusion[static_cast<size_t>(labels[i])][static_cast<size_t>(predicted[i])];
            result.accuracy += labels[i] == predicted[i] ? 1 : 0;
        }
        if (top_k > 0) {
            BACKLIGHT_CHECK(top_k <= logits.dim(1), "evaluate: expected top-k <= ", logits.dim(1), ", got ",
                            top_k);
            const auto values = logits.data().to(DType::f64).to_vector<double>();
            for (size_t i = 0; i < labels.size(); ++i) {
                result.top_k_accuracy += rank_of(values, i, classes, labels[i]) < top_k ? 1 : 0;
            }
        }
        result.samples += batch->size();
    }
    BACKLIGHT_CHECK(result.samples > 0 || data.size() == 0, "evaluate: none of the ", data.size(),
                    " samples can be read");
    const double samples = static_cast<double>(std::max<int64_t>(result.samples, 1));
    result.loss /= samples;
    result.accuracy /= samples;
    result.top_k = top_k;
    result.top_k_accuracy /= samples;
    return result;
}

Tensor predict(Module& net, const Tensor& inputs, int64_t batch_size) {
    const EvaluationMode mode(net);
    const NoGrad off;
    Variables parts;
    const int64_t count = inputs.dim(0);
    for (int64_t start = 0; start == 0 || start < count; start += batch_size) {
        const int64_t extent = std::min(batch_size, count - start);
        parts.push_back(net(extent == count ? Variable(inputs) : slice(inputs, 0, start, extent)));
    }
    return concat(parts, 0).data();
}

}  // namespace backlight
