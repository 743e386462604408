// backlight evaluate: loss and accuracy, in all and per class, of a model with weights on a data set; of a
// multi-label one average precision.
#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/checks.h"
#include "apps/commands.h"
#include "core/error.h"
#include "core/io/file.h"
#include "experiments/run_report.h"
#include "train/trainer.h"

namespace backlight::apps {

Run add_evaluate(CLI::App& app, const Common&) {
    struct Config {
        std::string model, weights, data, split = "test", out;
        std::string on_corrupt = "skip";
        int64_t classes = 0, batch_size = 0, top_k = 0;
        bool ten_crop = false;
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
    cmd->add_option("--top-k", c->top_k, "Also measure top-k accuracy; 0: no")->check(CLI::NonNegativeNumber);
    cmd->add_option("--on-corrupt", c->on_corrupt,
                    "Samples that cannot be read: skip (counted and named at the end) or stop")
        ->check(CLI::IsMember({"skip", "stop"}));
    cmd->add_flag("--ten-crop", c->ten_crop,
                  "Average the probabilities of ten crops: corners, centre, and their mirror images");
    cmd->add_option("--out", c->out, "Also write the numbers as JSON");
    return [c] {
        if (!c->out.empty()) {
            check_output("--out", c->out);
        }
        LoadedModel loaded = load_model(c->model, c->classes, c->weights);
        const auto data = load_data(c->data);
        for (const std::string& note : data->notes) {
            std::cout << note << "\n";
        }
        const std::shared_ptr<const Dataset> part = data->split(c->split);
        const std::shared_ptr<const Dataset> measured = c->ten_crop ? ten_crops(part) : part;
        const Dataset& split = *part;
        Shape sample{1};
        for (const int64_t extent : split.sample_shape()) {
            sample.push_back(extent);
        }
        loaded.model.check_input(sample);
        const auto corrupt = c->on_corrupt == "skip" ? std::make_shared<CorruptSamples>() : nullptr;
        const Evaluation result = evaluate(*loaded.model.net, *measured, c->batch_size, c->top_k, corrupt);
        BACKLIGHT_CHECK(std::isfinite(result.loss), c->weights,
                        ": the loss is not finite: values overflow in this network");
        print_evaluation(std::cout, result, split.class_names());
        if (c->top_k > 0) {
            std::cout << "top-" << c->top_k << " accuracy " << percent_text(result.top_k_accuracy) << "\n";
        }
        std::cout << "loss " << result.loss << "\n";
        if (corrupt && corrupt->count() > 0) {
            std::cout << corrupt->summary() << "\n";
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
            if (c->top_k > 0) {
                json["top_k"] = c->top_k;
                json["top_k_accuracy"] = result.top_k_accuracy;
            }
            write_file_atomically(c->out, json.dump(2) + "\n");
            std::cout << "written: " << c->out << "\n";
        }
        return 0;
    };
}

}  // namespace backlight::apps
