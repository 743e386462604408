#include "experiments/class_balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"

namespace backlight {

TrueClassProbability true_class_probability(Module& net, const Dataset& data) {
    const NoGrad off;
    const auto classes = static_cast<size_t>(data.num_classes());
    std::vector<double> sum(classes, 0.0), count(classes, 0.0);
    const int64_t step = default_batch(data.sample_shape());
    for (int64_t first = 0; first < data.size(); first += step) {
        std::vector<int64_t> rows(static_cast<size_t>(std::min(step, data.size() - first)));
        std::iota(rows.begin(), rows.end(), first);
        const Variable logits(predict(net, data.batch(rows).input));
        const auto p = (data.is_multi_label() ? sigmoid(logits) : softmax(logits)).data().to_vector<float>();
        for (size_t n = 0; n < rows.size(); ++n) {
            const std::vector<Presence> shown = data.presence(rows[n]);
            for (size_t k = 0; k < classes; ++k) {
                if (shown[k] == Presence::present) {
                    sum[k] += static_cast<double>(p[n * (p.size() / rows.size()) + k]);
                    ++count[k];
                }
            }
        }
    }
    std::vector<double> means;
    for (size_t k = 0; k < classes; ++k) {
        if (count[k] > 0) {
            means.push_back(sum[k] / count[k]);
        }
    }
    TrueClassProbability result{.minimum = *std::min_element(means.begin(), means.end()),
                                .maximum = *std::max_element(means.begin(), means.end()),
                                .mean = statistics_of(means).mean};
    double pairs = 0;
    for (size_t a = 0; a < means.size(); ++a) {
        for (size_t b = 0; b < a; ++b) {
            result.difference += std::abs(means[a] - means[b]);
            ++pairs;
        }
    }
    result.difference /= std::max(pairs, 1.0);
    return result;
}

std::vector<double> smoothed(const std::vector<double>& values, size_t window) {
    std::vector<double> means;
    for (size_t i = 0; i < values.size(); ++i) {
        const size_t first = i + 1 > window ? i + 1 - window : 0;
        means.push_back(std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(first),
                                        values.begin() + static_cast<std::ptrdiff_t>(i + 1), 0.0) /
                        static_cast<double>(i + 1 - first));
    }
    return means;
}

void add_balance(Measurements& measured, const std::string& arm, int64_t seed,
                 const std::vector<ClassSpread>& epochs, size_t from,
                 const TrueClassProbability& probability) {
    const ClassSpread& last = epochs.back();
    std::vector<double> scores;
    for (size_t i = std::min(from, epochs.size() - 1); i < epochs.size(); ++i) {
        scores.push_back(epochs[i].balance());
    }
    measured.add(arm, "class mean", seed, last.mean);
    measured.add(arm, "class deviation", seed, last.deviation);
    measured.add(arm, "class minimum", seed, last.minimum);
    measured.add(arm, "balance", seed, last.balance());
    measured.add(arm, "balance over epochs", seed, statistics_of(scores).mean);
    measured.add(arm, "p(true) least", seed, probability.minimum);
    measured.add(arm, "p(true) most", seed, probability.maximum);
    measured.add(arm, "p(true) mean", seed, probability.mean);
    measured.add(arm, "p(true) difference", seed, probability.difference);
}

report::Table balance_table(const Measurements& measured) {
    report::Table table{.columns = {"arm", "mean over classes", "deviation over classes", "balance score"}};
    for (const std::string& arm : measured.arms()) {
        const double mean = measured.mean(arm, "class mean"),
                     deviation = measured.mean(arm, "class deviation");
        table.rows.push_back({arm, number_text(mean), number_text(deviation),
                              number_text(ClassSpread{.mean = mean, .deviation = deviation}.balance(), 2)});
    }
    table.caption = "Balance score: the mean over the deviation, each averaged over the seeds";
    return table;
}

}  // namespace backlight
