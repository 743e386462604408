// backlight evaluate: loss, accuracy and accuracy per class of a model with weights on a data set.
#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

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
        int64_t classes = 0, batch_size = 256, top_k = 0;
    };
    CLI::App* cmd = app.add_subcommand("evaluate", "Accuracy of a model on a data set");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)")->required();
    cmd->add_option("--weights", c->weights, "Weights (safetensors)")->required();
    cmd->add_option("--data", c->data, "Data set (backlight list data)")->required();
    cmd->add_option("--split", c->split, "Part of the data: test, train, or what the data set names besides");
    cmd->add_option("--classes", c->classes, "Number of outputs; 0: as the weights have");
    cmd->add_option("--batch-size", c->batch_size, "Samples at once")->check(CLI::PositiveNumber);
    cmd->add_option("--top-k", c->top_k, "Also measure top-k accuracy; 0: no")->check(CLI::NonNegativeNumber);
    cmd->add_option("--on-corrupt", c->on_corrupt,
                    "Samples that cannot be read: skip (counted and named at the end) or stop")
        ->check(CLI::IsMember({"skip", "stop"}));
    cmd->add_option("--out", c->out, "Also write the numbers as JSON");
    return [c] {
        LoadedModel loaded = load_model(c->model, c->classes, c->weights);
        const auto data = load_data(c->data);
        const Dataset& split = *data->split(c->split);
        Shape sample{1};
        for (const int64_t extent : split.sample_shape()) {
            sample.push_back(extent);
        }
        loaded.model.check_input(sample);
        const auto corrupt = c->on_corrupt == "skip" ? std::make_shared<CorruptSamples>() : nullptr;
        const Evaluation result = evaluate(*loaded.model.net, split, c->batch_size, c->top_k, corrupt);
        BACKLIGHT_CHECK(std::isfinite(result.loss), c->weights,
                        ": the loss is not finite: values overflow in this network");
        print_class_accuracy(std::cout, result, split.class_names());
        if (c->top_k > 0) {
            std::cout << "top-" << c->top_k << " accuracy " << percent_text(result.top_k_accuracy) << "\n";
        }
        std::cout << "loss " << result.loss << "\n";
        if (corrupt && corrupt->count() > 0) {
            std::cout << corrupt->summary() << "\n";
        }
        if (!c->out.empty()) {
            nlohmann::json json = {{"loss", result.loss},
                                   {"accuracy", result.accuracy},
                                   {"samples", result.samples},
                                   {"confusion", result.confusion}};
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
