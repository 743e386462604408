#include "experiments/run_report.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "explain/explainer.h"
#include "report/heatmap.h"
#include "report/plot.h"
#include "report/reduce.h"

namespace backlight {
namespace {

struct Column {
    std::string title, method, file;
};
const std::vector<Column>& columns() {
    static const std::vector<Column> all = {{"gradient", "gradient", "gradient"},
                                            {"Grad-CAM", "grad_cam", "grad_cam"},
                                            {"LRP (ε, z+)", "epsilon_plus", "lrp"}};
    return all;
}

std::string class_name(const std::vector<std::string>& names, int64_t k) {
    return static_cast<size_t>(k) < names.size() ? names[static_cast<size_t>(k)] : std::to_string(k);
}

/// What a sample shows, and which class is explained where that is another.
std::string caption_of(const Dataset& data, int64_t index, int64_t predicted) {
    const std::vector<Presence> presence = data.presence(index);
    std::string text;
    for (size_t k = 0; k < presence.size(); ++k) {
        if (presence[k] == Presence::present) {
            text += (text.empty() ? "" : ", ") + class_name(data.class_names(), static_cast<int64_t>(k));
        }
    }
    const auto explained = static_cast<size_t>(predicted);
    const bool right = explained < presence.size() && presence[explained] == Presence::present;
    const std::string name = class_name(data.class_names(), predicted);
    if (data.is_multi_label()) {
        return text + "; explained: " + name;
    }
    return text + (right ? "" : ", taken for " + name);
}

/// Mean |relevance| of each feature, as share of the whole; the relevance itself goes into `folder`.
void add_feature_bars(report::Page& page, const ExplainedForward& forward,
                      const std::filesystem::path& folder, const std::string& caption) {
    const auto lrp = build_method("epsilon");
    const Tensor relevance = forward.explain(*lrp, {.targets = forward.predicted()});
    write_npy(folder / "lrp.npy", relevance);
    const NoGrad off;
    const Tensor mean_abs = mean(abs(flatten(Variable(relevance.to(DType::f64)))), {0}).data();
    const std::vector<double> values = mean_abs.to_vector<double>();
    double total = 0;
    for (const double v : values) {
        total += v;
    }
    report::BarChart chart{.title = "Share of |relevance| (LRP ε) by feature", .percent = true};
    for (size_t i = 0; i < values.size(); ++i) {
        chart.bars.push_back({"feature " + std::to_string(i), total > 0 ? values[i] / total : 0.0, ""});
    }
    page.figure({.svg = report::bar_chart(chart), .caption = caption});
}

}  // namespace

std::string percent_text(double share) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(1) << 100.0 * share << " %";
    return out.str();
}

void print_evaluation(std::ostream& out, const Evaluation& evaluation,
                      const std::vector<std::string>& classes) {
    const bool multi_label = evaluation.is_multi_label();
    const auto scores = multi_label ? evaluation.average_precision : evaluation.class_accuracy();
    size_t width = 5;
    for (const std::string& name : classes) {
        width = std::max(width, name.size());
    }
    for (size_t k = 0; k < scores.size(); ++k) {
        int64_t count = multi_label ? evaluation.positives[k] : 0;
        for (size_t n = 0; !multi_label && n < scores.size(); ++n) {
            count += evaluation.confusion[k][n];
        }
        if (count > 0) {
            out << "  " << std::left << std::setw(static_cast<int>(width))
                << class_name(classes, static_cast<int64_t>(k)) << std::right << "  " << std::setw(7)
                << percent_text(scores[k]) << "  of " << count << "\n";
        }
    }
    out << evaluation.score_name() << ' ' << std::fixed << std::setprecision(2) << 100.0 * evaluation.score()
        << " % of " << evaluation.samples << " samples\n"
        << std::defaultfloat << std::setprecision(6);
}

void add_curves(report::Page& page, const std::filesystem::path& metrics) {
    std::ifstream in(metrics);
    report::Series train{.name = "training"}, test{.name = "test"}, score{.markers = true};
    bool multi_label = false;
    for (std::string line; std::getline(in, line);) {
        const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
        if (entry.is_discarded() || !entry.contains("epoch")) {
            continue;
        }
        const auto number = [](const nlohmann::json& value) {
            return value.is_number() ? value.get<double>() : NAN;
        };
        const double epoch = number(entry["epoch"]);
        const std::string split = entry.contains("validation") ? "validation" : "test";
        if (!entry.contains(split)) {
            continue;
        }
        train.x.push_back(epoch);
        train.y.push_back(number(entry["train_loss"]));
        test.x.push_back(epoch);
        test.y.push_back(number(entry[split]["loss"]));
        test.name = split;
        multi_label = entry[split].contains("mean_average_precision");
        score.x.push_back(epoch);
        score.y.push_back(number(entry[split][multi_label ? "mean_average_precision" : "accuracy"]));
        score.name = split + (multi_label ? " mAP" : " accuracy");
    }
    if (train.x.empty()) {
        return;
    }
    page.figures(
        {{.svg = report::line_chart({.title = "Loss",
                                     .x_label = "epoch",
                                     .y_label = "cross-entropy",
                                     .series = {train, test},
                                     .width = 440,
                                     .height = 300}),
          .caption = multi_label ? "Mean binary cross-entropy an epoch." : "Mean cross-entropy an epoch."},
         {.svg = report::line_chart({.title = multi_label ? "Mean average precision" : "Accuracy",
                                     .x_label = "epoch",
                                     .series = {score},
                                     .y_percent = true,
                                     .width = 440,
                                     .height = 300}),
          .caption = multi_label ? "Mean over the classes after each epoch."
                                 : "Share of right answers after each epoch."}});
}

void add_class_scores(report::Page& page, const Evaluation& evaluation,
                      const std::vector<std::string>& classes) {
    const bool multi_label = evaluation.is_multi_label();
    const auto scores = multi_label ? evaluation.average_precision : evaluation.class_accuracy();
    report::BarChart bars{.title = multi_label ? "Average precision by class" : "Accuracy by class",
                          .percent = true,
                          .reference = evaluation.score(),
                          .reference_label = multi_label ? "mean" : "all classes",
                          .width = 440};
    bars.x_min = 0.0;
    bars.x_max = 1.0;
    for (size_t k = 0; k < scores.size(); ++k) {
        if (std::isfinite(scores[k])) {
            bars.bars.push_back({class_name(classes, static_cast<int64_t>(k)), scores[k], ""});
        }
    }
    if (multi_label) {
        page.figure({.svg = report::bar_chart(bars),
                     .caption = "Area under precision over recall of each class that occurs."});
        return;
    }
    report::ConfusionMatrix matrix;
    for (size_t k = 0; k < evaluation.confusion.size(); ++k) {
        matrix.classes.push_back(class_name(classes, static_cast<int64_t>(k)));
        matrix.counts.insert(matrix.counts.end(), evaluation.confusion[k].begin(),
                             evaluation.confusion[k].end());
    }
    page.figures(
        {{.svg = report::confusion_matrix(matrix), .caption = "Rows: true class. Columns: predicted class."},
         {.svg = report::bar_chart(bars), .caption = "Share of right answers of each class."}});
}

std::vector<int64_t> samples_of_each_class(const Dataset& data, int64_t count) {
    const auto by_class = data.samples_by_class();
    std::vector<int64_t> chosen;
    for (size_t rank = 0; static_cast<int64_t>(chosen.size()) < count; ++rank) {
        bool any = false;
        for (const auto& members : by_class) {
            if (rank < members.size() && static_cast<int64_t>(chosen.size()) < count) {
                any = true;
                if (std::find(chosen.begin(), chosen.end(), members[rank]) == chosen.end()) {
                    chosen.push_back(members[rank]);
                }
            }
        }
        if (!any) {
            break;
        }
    }
    return chosen;
}

void add_explanations(report::Page& page, const Model& model, const Dataset& data,
                      const std::vector<int64_t>& indices, const std::filesystem::path& folder,
                      const std::string& caption) {
    if (indices.empty()) {
        return;
    }
    const Batch batch = data.batch(indices);
    const ExplainedForward forward(*model.net, batch.input);
    std::filesystem::create_directories(folder);
    if (batch.input.rank() != 4) {
        add_feature_bars(page, forward, folder, caption);
        return;
    }
    const auto predicted = forward.predicted();
    const InputRange range = data.input_range();
    const double low = *std::min_element(range.low.begin(), range.low.end());
    const double high = *std::max_element(range.high.begin(), range.high.end());
    report::FigureGrid grid{.columns = {"input"}, .caption = caption, .legend = report::color_bar({})};
    grid.pictures.resize(indices.size());
    for (size_t n = 0; n < indices.size(); ++n) {
        grid.rows.push_back(caption_of(data, indices[n], predicted[n]));
        grid.pictures[n].push_back(
            report::picture(report::batch_item(batch.input, static_cast<int64_t>(n)), low, high));
    }
    const int64_t upscale = std::max<int64_t>(1, 128 / std::max<int64_t>(batch.input.dim(1), 1));
    for (const Column& column : columns()) {
        if (column.method == "grad_cam" && model.cam_layer.empty()) {
            continue;
        }
        const auto method = build_method(column.method, {.cam_layer = model.cam_layer});
        const Tensor maps =
            report::reduce_channels(forward.explain(*method, {.targets = predicted}), report::Reduce::sum);
        grid.columns.push_back(column.title);
        for (size_t n = 0; n < indices.size(); ++n) {
            const Tensor map = report::batch_item(maps, static_cast<int64_t>(n));
            std::ostringstream name;
            name << std::setw(5) << std::setfill('0') << indices[n] << '_' << column.file;
            const Tensor raw = report::heatmap_image(map, {.upscale = upscale});
            const Tensor over = report::overlay(grid.pictures[n][0], map, {.heatmap = {.upscale = upscale}});
            write_png(folder / (name.str() + "_raw.png"), raw);
            write_png(folder / (name.str() + "_overlay.png"), over);
            grid.pictures[n].push_back(report::heatmap_image(map));
        }
    }
    page.grid(grid);
}

void write_run_report(const std::filesystem::path& run, const TrainResult& result) {
    const Dataset& test = *result.data->test;
    report::Page page(result.model.spec, "trained on " + result.data->spec);
    page.kicker("Backlight training run");
    page.fact("Model", result.model.spec).fact("Data", result.data->spec);
    page.fact("Parameters", std::to_string(result.model.net->parameter_count()));
    page.tile(percent_text(result.test.score()), concat_text("test ", result.test.score_name()),
              std::to_string(result.test.samples) + " samples");
    page.tile(std::to_string(result.epochs_done), "epochs", std::to_string(result.steps) + " steps");
    if (!result.skipped.empty()) {
        page.fact("Data left out", result.skipped);
    }
    page.section("Training");
    add_curves(page, run / "metrics.jsonl");
    page.section("Test");
    add_class_scores(page, result.test, test.class_names());
    page.section("Explanations");
    add_explanations(
        page, result.model, test, readable(test, samples_of_each_class(test, 10)), run / "explanations",
        "Test samples, explained for the predicted class. Red speaks for it, blue against it, white is zero; "
        "each map has its own scale. The gradient and Grad-CAM start with 1 at the logit, LRP with the "
        "logit.");
    page.write(run / "report.html");
}

}  // namespace backlight
