#include "experiments/reproductions/toy_runs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"
#include "core/error.h"
#include "experiments/reproductions/watch.h"
#include "explain/explainer.h"
#include "train/augmentations.h"

namespace backlight {
namespace {

/// Mean |r'| of every feature.
std::vector<double> mean_relevance(Module& net, const Batch& batch) {
    const ExplainedForward forward(net, batch.input);
    const auto explainer = build_method("epsilon(start=one)");
    const auto r = forward.explain(*explainer, {.targets = batch.label.to_vector<int64_t>()})
                       .to(DType::f64)
                       .to_vector<double>();
    const auto features = static_cast<size_t>(batch.input.dim(1));
    std::vector<double> mean(features, 0.0);
    for (size_t n = 0; n < r.size(); n += features) {
        double largest = 1e-300;
        for (size_t d = 0; d < features; ++d) {
            largest = std::max(largest, std::abs(r[n + d]));
        }
        for (size_t d = 0; d < features; ++d) {
            mean[d] +=
                std::abs(r[n + d]) / largest * static_cast<double>(features) / static_cast<double>(r.size());
        }
    }
    return mean;
}

}  // namespace

int64_t lowest_at(const std::vector<double>& curve) {
    return std::min_element(curve.begin(), curve.end()) - curve.begin() + 1;
}

int64_t WatchedRun::turning_point() const { return lowest_at(test_loss); }

std::vector<double> running_mean(const std::vector<double>& values) {
    std::vector<double> means;
    double total = 0;
    for (const double value : values) {
        total += value;
        means.push_back(total / static_cast<double>(means.size() + 1));
    }
    return means;
}

WatchedRun watch_training(const TrainConfig& config) {
    WatchedRun watched;
    const Batch test = load_data(config.data)->test->all();
    watched.relevance.resize(static_cast<size_t>(test.input.dim(1)));
    watched.result = train_watched(config, [&](const TrainingRun& run, const Evaluation& evaluation) {
        watched.test_loss.push_back(evaluation.loss);
        watched.test_accuracy.push_back(evaluation.accuracy);
        watched.train_loss.push_back(evaluate(*run.model->net, *run.data).loss);
        const std::vector<double> r = mean_relevance(*run.model->net, test);
        for (size_t d = 0; d < r.size(); ++d) {
            watched.relevance[d].push_back(r[d]);
        }
    });
    return watched;
}

double accuracy_with_system(Model& model, const std::shared_ptr<const Dataset>& data,
                            const std::string& text) {
    const auto system = build_augmentation(text);
    const TrainingRun run{.model = &model, .data = data};
    Batch batch = data->all();
    TrainingStep step{.run = run, .batch = batch};
    system->begin(run);
    system->before_forward(step);
    const EvaluationMode mode(*model.net);
    const FeatureHooks hooks({system.get()}, step);
    const auto predicted = argmax((*model.net)(Variable(batch.input)).data(), 1).to_vector<int64_t>();
    const auto labels = batch.label.to_vector<int64_t>();
    int64_t hits = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
        hits += predicted[i] == labels[i] ? 1 : 0;
    }
    return static_cast<double>(hits) / static_cast<double>(labels.size());
}

report::Table first_seeds(const Measurements& measured, int64_t seeds, const std::string& caption) {
    report::Table table{.columns = {"arm"}, .caption = caption};
    table.columns.insert(table.columns.end(), measured.metrics().begin(), measured.metrics().end());
    for (const std::string& arm : measured.arms()) {
        std::vector<std::string> row{arm};
        for (const std::string& metric : measured.metrics()) {
            if (!measured.has(arm, metric)) {
                row.emplace_back();
                continue;
            }
            std::vector<double> values = measured.values(arm, metric);
            values.resize(std::min(values.size(), static_cast<size_t>(seeds)));
            const Statistics s = statistics_of(values);
            row.push_back(number_text(s.mean) + " ± " + number_text(s.deviation));
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

std::string relevance_metric(int64_t feature) { return concat_text("|r'| of ", feature); }

report::Figure relevance_bars(const Measurements& measured, const std::vector<std::string>& arms,
                              int64_t features) {
    report::BarChart bars{
        .title = "Mean |r'| of each feature over test samples and iterations", .x_min = 0, .x_max = 1};
    for (int64_t d = 0; d < features; ++d) {
        for (const std::string& arm : arms) {
            const Statistics s = statistics_of(measured.values(arm, relevance_metric(d)));
            bars.bars.push_back({.name = concat_text(d, ", ", arm),
                                 .value = s.mean,
                                 .note = "± " + number_text(s.deviation)});
        }
    }
    return {.svg = report::bar_chart(bars),
            .caption =
                "Relevance of the input for the true class (LRP-epsilon), largest of each sample = 1; mean ± "
                "deviation over the seeds"};
}

report::Figure curves_figure(const Curves& curves, const std::vector<std::string>& arms,
                             const std::string& title, const std::string& y_label,
                             const std::string& caption) {
    const Curves some{.arms = arms, .runs = curves.runs};
    report::LineChart chart = some.chart(title, "iteration", y_label);
    for (report::Series& series : chart.series) {
        for (double& low : series.low) {
            low = std::max(low, 0.0);  // neither losses nor shares are negative
        }
    }
    return {.svg = report::line_chart(chart), .caption = caption};
}

}  // namespace backlight
