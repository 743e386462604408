// backlight evaluate: loss and accuracy, in all and per class, of a model with weights on a data set; of a
// multi-label one average precision. With --metric also measures of its explanations.
#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/checks.h"
#include "apps/commands.h"
#include "core/error.h"
#include "core/io/file.h"
#include "experiments/explanation_metrics.h"
#include "experiments/run_report.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

void add_metric_options(CLI::App& cmd, ExplanationMetricsConfig& config, std::string& rows) {
    cmd.add_option(
        "--metric", config.metrics,
        "Measure of explanations, e.g. drop_mag, \"deletion(fill=mean)\" (backlight list metrics); "
        "may be repeated");
    cmd.add_option("--method", config.methods,
                   "Explanation to measure (backlight list methods); may be repeated");
    cmd.add_option("--target", config.target,
                   "Explained class: predicted (of several labels each above one half), argmax, label")
        ->check(CLI::IsMember({"predicted", "argmax", "label"}));
    cmd.add_option(
        "--reduce", config.reduce,
        "Channels to a pixel: auto (sum; max-abs of saliency), sum, max-abs, abs-sum, mean, l2, pos-sum");
    cmd.add_flag("--masks", config.masks, "The data set's masks show where the object is");
    cmd.add_option("--background-size", config.background_size,
                   "Training samples for methods that compare with them")
        ->check(at_least_one());
    cmd.add_option("--seed", config.seed, "Random seed of metrics and methods that draw");
    cmd.add_option("--metrics-out", rows, "Write a row a sample, class, explainer and metric as CSV");
}

/// Before the work: names and options that do not go together. Without --method the default one is measured.
void check_metric_options(ExplanationMetricsConfig& config, const std::string& rows, bool ten_crop) {
    if (config.metrics.empty()) {
        BACKLIGHT_CHECK(config.methods.empty() && rows.empty() && !config.masks,
                        config.methods.empty() ? (config.masks ? "--masks" : "--metrics-out") : "--method",
                        ": needs --metric (backlight list metrics)");
        return;
    }
    BACKLIGHT_CHECK(!ten_crop,
                    "--ten-crop: explanations are of one picture each; leave out --metric or --ten-crop");
    if (config.methods.empty()) {
        config.methods = {"lrp"};
    }
    check_names(config);
}

}  // namespace

Run add_evaluate(CLI::App& app, const Common&) {
    struct Config {
        std::string model, weights, data, split = "test", out;
        std::string on_corrupt = "skip";
        int64_t classes = 0, batch_size = 0, top_k = 0, limit = 0;
        bool ten_crop = false;
        ExplanationMetricsConfig explain;
        std::string metrics_out;
    };
    CLI::App* cmd = app.add_subcommand("evaluate", "Accuracy of a model on a data set");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)")->required();
    cmd->add_option("--weights", c->weights, "Weights (safetensors)")->required();
    cmd->add_option("--data", c->data, "Data set (backlight list data)")->required();
    cmd->add_option("--split", c->split, "Part of the data: test, train, or what the data set names besides");
    cmd->add_option("--classes", c->classes, "Number of outputs; 0: as the weights have");
    cmd->add_option("--batch-size", c->batch_size, "Samples at once; if not given 256, or fewer large ones")
        ->check(at_least_one());
    cmd->add_option("--top-k", c->top_k, "Also measure top-k accuracy; 0: no")->check(at_least_zero());
    cmd->add_option("--on-corrupt", c->on_corrupt,
                    "Samples that cannot be read: skip (counted and named at the end) or stop")
        ->check(CLI::IsMember({"skip", "stop"}));
    cmd->add_flag("--ten-crop", c->ten_crop,
                  "Average the probabilities of ten crops: corners, centre, and their mirror images");
    cmd->add_option("--limit", c->limit, "Only so many samples, evenly spread; 0: all")
        ->check(at_least_zero());
    cmd->add_option("--out", c->out, "Also write the numbers as JSON");
    add_metric_options(*cmd, c->explain, c->metrics_out);
    return [c] {
        for (const auto& [option, file] : {std::pair{"--out", c->out}, {"--metrics-out", c->metrics_out}}) {
            if (!file.empty()) {
                check_output(option, file);
            }
        }
        check_metric_options(c->explain, c->metrics_out, c->ten_crop);
        LoadedModel loaded = load_model(c->model, c->classes, c->weights);
        const auto data = load_data(c->data);
        for (const std::string& note : data->notes) {
            std::cout << note << "\n";
        }
        const std::shared_ptr<const Dataset> whole = data->split(c->split);
        BACKLIGHT_CHECK(!c->explain.masks || whole->has_masks(), "--masks: ", c->data, " has no masks");
        const std::vector<int64_t> samples = spread_samples(whole->size(), c->limit);
        const std::shared_ptr<const Dataset> all = c->ten_crop ? ten_crops(whole) : whole;
        const std::shared_ptr<const Dataset> measured = c->limit > 0 ? subset(all, samples) : all;
        const Dataset& split = *whole;
        Shape sample{1};
        for (const int64_t extent : split.sample_shape()) {
            sample.push_back(extent);
        }
        loaded.model.check_input(sample);
        const auto corrupt = c->on_corrupt == "skip" ? std::make_shared<CorruptSamples>() : nullptr;
        const Evaluation result = evaluate(*loaded.model.net, *measured, c->batch_size, c->top_k, corrupt);
        BACKLIGHT_CHECK(std::isfinite(result.loss), c->weights,
                        ": the loss is not finite: values overflow in this network");
        std::optional<MetricRun> metrics;  // wrong options show before anything is printed
        if (!c->explain.metrics.empty()) {
            c->explain.batch_size = c->batch_size;
            const auto skipped = corrupt ? std::make_shared<CorruptSamples>() : nullptr;  // named already
            metrics = measure_explanations(loaded, *data, c->split, samples, c->explain, skipped);
        }
        print_evaluation(std::cout, result, split.class_names());
        if (c->top_k > 0) {
            std::cout << "top-" << c->top_k << " accuracy " << percent_text(result.top_k_accuracy) << "\n";
        }
        std::cout << "loss " << result.loss << "\n";
        if (corrupt && corrupt->count() > 0) {
            std::cout << corrupt->summary() << "\n";
        }
        if (metrics) {
            print_metrics(std::cout, *metrics);
        }
        if (!c->metrics_out.empty()) {
            write_file_atomically(c->metrics_out, metrics_csv(*metrics));
            std::cout << "written: " << c->metrics_out << "\n";
        }
        if (!c->out.empty()) {
            nlohmann::json json = {{"loss", result.loss}, {"samples", result.samples}};
            if (result.is_multi_label()) {
                json["mean_average_precision"] = result.score();  // null where it is not a number
                json["average_precision"] = result.average_precision;
                json["positives"] = result.positives;
            } else {
                json["accuracy"] = result.accuracy;
                json["confusion"] = result.confusion;
            }
            const ClassSpread spread = result.class_spread();
            json["class_mean"] = spread.mean;
            json["class_deviation"] = spread.deviation;
            json["balance"] = spread.balance();
            if (corrupt && corrupt->count() > 0) {
                json["skipped"] = corrupt->reasons();
            }
            if (c->top_k > 0) {
                json["top_k"] = c->top_k;
                json["top_k_accuracy"] = result.top_k_accuracy;
            }
            if (metrics) {
                json["explanations"] = nlohmann::json::parse(metrics_json(*metrics));
            }
            write_file_atomically(c->out, json.dump(2) + "\n");
            std::cout << "written: " << c->out << "\n";
        }
        return 0;
    };
}

}  // namespace backlight::apps
