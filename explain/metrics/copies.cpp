#include "explain/metrics/copies.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "explain/metrics/imputation.h"

namespace backlight {
namespace {

/// As many rows as ExplainedForward::scores takes at once.
int64_t rows_at_once(const Tensor& x) {
    constexpr int64_t kValues = 2'000'000, kRows = 256;
    const int64_t row = std::max<int64_t>(x.numel() / std::max<int64_t>(x.dim(0), 1), 1);
    return std::clamp<int64_t>(kValues / row, 1, kRows);
}

/// The mean of a picture (H W C), by channel, at all its pixels.
void fill_with_mean(std::span<double> picture, size_t channels) {
    for (size_t channel = 0; channel < channels; ++channel) {
        double total = 0;
        for (size_t i = channel; i < picture.size(); i += channels) {
            total += picture[i];
        }
        const double mean = total / static_cast<double>(picture.size() / channels);
        for (size_t i = channel; i < picture.size(); i += channels) {
            picture[i] = mean;
        }
    }
}

/// Rows with the pixels that are gone (not 0 in `gone`, a value a pixel) imputed from the others.
Tensor imputed(const MetricBatch& batch, const Tensor& rows, const Tensor& gone) {
    std::vector<double> values = rows.to(DType::f64).to_vector<double>();
    const std::vector<double> flags = gone.to(DType::f64).to_vector<double>();
    const auto count = static_cast<size_t>(rows.dim(0));
    const size_t size = values.size() / count, pixels = flags.size() / count;
#pragma omp parallel for schedule(dynamic)
    for (size_t row = 0; row < count; ++row) {
        const std::span<double> picture = std::span(values).subspan(row * size, size);
        std::vector<uint8_t> removed(pixels);
        std::transform(flags.begin() + static_cast<std::ptrdiff_t>(row * pixels),
                       flags.begin() + static_cast<std::ptrdiff_t>((row + 1) * pixels), removed.begin(),
                       [](double flag) { return flag != 0 ? 1 : 0; });
        if (std::find(removed.begin(), removed.end(), 0) == removed.end()) {
            fill_with_mean(picture, size / pixels);
        } else {
            impute_linear(picture, removed,
                          {.height = batch.height(), .width = batch.width(), .channels = batch.channels()});
        }
    }
    return Tensor::from(values, rows.shape()).to(rows.dtype()).to(rows.device());
}

}  // namespace

Fill read_removal_fill(const Options& options, const std::string& fallback) {
    return read_fill(options, fallback, {"inpaint"});
}

Tensor replacement_of(const MetricBatch& batch, const Fill& fill) {
    return fill.kind == "inpaint" ? Tensor() : filled(batch.x, fill, batch.context->explain, batch.sample);
}

std::vector<double> scores_of(const MetricBatch& batch, const Tensor& rows, const std::vector<int64_t>& units,
                              Score score) {
    const bool as_sigmoid = batch.context->multi_label && score == Score::probability;
    const Score read = as_sigmoid ? Score::sigmoid : score;
    return batch.timed(rows.dim(0),
                       [&] { return batch.forward->scores(rows, units, batch.request(), read); });
}

std::vector<double> hits_of(const MetricBatch& batch, const Tensor& rows, const std::vector<int64_t>& units) {
    std::vector<double> hits;
    if (batch.context->multi_label) {
        for (const double logit : scores_of(batch, rows, units, Score::logit)) {
            hits.push_back(logit > 0 ? 1 : 0);
        }
        return hits;
    }
    const auto predicted = batch.timed(rows.dim(0), [&] {
        const NoGrad off;
        Module& net = batch.forward->net();
        const EvaluationMode mode(net);
        return argmax(net(Variable(rows)).data(), 1).to_vector<int64_t>();
    });
    for (size_t i = 0; i < units.size(); ++i) {
        hits.push_back(predicted[i] == batch.target[static_cast<size_t>(units[i])] ? 1 : 0);
    }
    return hits;
}

const std::vector<double>& base_scores(const MetricBatch& batch, Score score) {
    const std::string name = score == Score::logit ? "logit" : "probability";
    auto found = batch.base.find(name);
    if (found == batch.base.end()) {
        std::vector<int64_t> units;
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            units.push_back(static_cast<int64_t>(unit));
        }
        found = batch.base.emplace(name, scores_of(batch, batch.x, units, score)).first;
    }
    return found->second;
}

CopyMeasure score_measure(const MetricBatch& batch, Score score) {
    return [&batch, score](const Tensor& rows, const std::vector<int64_t>& units) {
        return scores_of(batch, rows, units, score);
    };
}

std::vector<std::vector<double>> measure_copies(const MetricBatch& batch, int64_t copies,
                                                const std::function<Tensor(std::span<const Copy>)>& make,
                                                const CopyMeasure& measure) {
    const NoGrad off;
    std::vector<std::vector<double>> values(batch.size());
    std::vector<Copy> pass;
    const auto run = [&] {
        std::vector<int64_t> units;
        for (const Copy& copy : pass) {
            units.push_back(copy.unit);
        }
        const std::vector<double> scores = measure(make(pass), units);
        for (size_t i = 0; i < pass.size(); ++i) {
            values[static_cast<size_t>(pass[i].unit)].push_back(scores[i]);
        }
        pass.clear();
    };
    const auto full = static_cast<size_t>(rows_at_once(batch.x));
    for (int64_t unit = 0; unit < static_cast<int64_t>(batch.size()); ++unit) {
        for (int64_t number = 0; number < copies; ++number) {
            pass.push_back({unit, number});
            if (pass.size() == full) {
                run();
            }
        }
    }
    if (!pass.empty()) {
        run();
    }
    return values;
}

Tensor rows_of(const Tensor& x, std::span<const Copy> copies) {
    std::vector<int64_t> index;
    for (const Copy& copy : copies) {
        index.push_back(copy.unit);
    }
    const Tensor units = Tensor::from(index, {static_cast<int64_t>(index.size())}).to(x.device());
    return gather_rows(Variable(x), units).data();
}

Tensor pixel_tensor(const MetricBatch& batch, const std::vector<std::vector<double>>& values,
                    bool per_channel) {
    std::vector<double> all;
    for (const auto& unit : values) {
        all.insert(all.end(), unit.begin(), unit.end());
    }
    const Shape shape = per_channel || batch.x.rank() == 2 ? batch.x.shape() : batch.x.shape().with(3, 1);
    return Tensor::from(all, shape.with(0, static_cast<int64_t>(values.size())))
        .to(batch.x.dtype())
        .to(batch.x.device());
}

std::vector<std::vector<double>> removal_curves(const MetricBatch& batch, const Removal& removal,
                                                const CopyMeasure& measure) {
    const auto make = [&](std::span<const Copy> copies) {
        std::vector<double> counts;
        for (const Copy& copy : copies) {
            counts.push_back(static_cast<double>(removal.counts[static_cast<size_t>(copy.number)]));
        }
        const auto rows = static_cast<int64_t>(copies.size());
        const Shape column = batch.x.rank() == 4 ? Shape{rows, 1, 1, 1} : Shape{rows, 1};
        const Tensor limit = Tensor::from(counts, column).to(batch.x.dtype()).to(batch.x.device());
        const Tensor gone = compare(BinaryOp::less, rows_of(removal.rank, copies), limit);
        if (!removal.replaced.defined()) {
            return imputed(batch, rows_of(removal.kept, copies), gone);
        }
        if (!removal.kept.defined()) {
            return imputed(batch, rows_of(removal.replaced, copies), (1.0 - Variable(gone)).data());
        }
        return where(gone, Variable(rows_of(removal.replaced, copies)),
                     Variable(rows_of(removal.kept, copies)))
            .data();
    };
    return measure_copies(batch, static_cast<int64_t>(removal.counts.size()), make, measure);
}

std::vector<double> ranks_of(const std::vector<int64_t>& order) {
    std::vector<double> ranks(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
        ranks[static_cast<size_t>(order[i])] = static_cast<double>(i);
    }
    return ranks;
}

std::vector<int64_t> counts_by(int64_t step, int64_t total) {
    std::vector<int64_t> counts{0};
    while (counts.back() < total) {
        counts.push_back(std::min(counts.back() + step, total));
    }
    return counts;
}

std::vector<std::string> texts_of(const std::vector<int64_t>& numbers) {
    std::vector<std::string> texts;
    for (const int64_t number : numbers) {
        texts.push_back(std::to_string(number));
    }
    return texts;
}

}  // namespace backlight
