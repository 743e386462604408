// backlight data: what a data set holds, and a contact sheet of it.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "apps/commands.h"
#include "core/error.h"
#include "core/io/image.h"
#include "datasets/registry.h"
#include "experiments/run_report.h"
#include "report/contact_sheet.h"
#include "report/heatmap.h"
#include "report/reduce.h"

namespace backlight::apps {
namespace {

void write_contact_sheet(const std::string& path, const Dataset& data, int64_t columns) {
    BACKLIGHT_CHECK(
        data.sample_shape().rank() == 3 && (data.sample_shape()[2] == 1 || data.sample_shape()[2] == 3),
        "data: samples of shape ", data.sample_shape(), " are not pictures, so there is no contact sheet");
    const int64_t classes = std::max<int64_t>(data.num_classes(), 1);
    std::vector<std::vector<Tensor>> rows(static_cast<size_t>(classes));
    const InputRange range = data.input_range();
    for (const int64_t index : samples_of_each_class(data, classes * columns)) {
        const Example example = data.get(index);
        rows[static_cast<size_t>(example.label)].push_back(
            report::picture(example.input, range.low[0], range.high[0]));
    }
    write_png(path, report::grid(rows, {.rows = data.class_names()}));
}

}  // namespace

Run add_data(CLI::App& app, const Common&) {
    struct Config {
        std::string spec, out;
        int64_t columns = 8;
    };
    CLI::App* cmd = app.add_subcommand("data", "Counts, sizes and a contact sheet of a data set");
    auto c = std::make_shared<Config>();
    cmd->add_option("spec", c->spec, "Data set, e.g. digits, cifar10:DIR (backlight list data)")->required();
    cmd->add_option("--out", c->out, "Contact sheet of the training set (PNG)");
    cmd->add_option("--columns", c->columns, "Pictures a class on the sheet")->check(CLI::PositiveNumber);
    return [c] {
        BACKLIGHT_CHECK(c->out.empty() || c->out.ends_with(".png"),
                        "--out: expected a file name that ends in .png, got ", c->out);
        const auto data = load_data(c->spec);
        for (const std::string& name : data->split_names()) {
            const Dataset& split = *data->split(name);
            std::cout << name << ": " << split.size() << " samples of shape " << split.sample_shape() << "\n";
            const auto counts = split.class_counts();
            for (size_t k = 0; k < counts.size(); ++k) {
                std::cout << "  " << split.class_names()[k] << "  " << counts[k] << "\n";
            }
        }
        if (!c->out.empty()) {
            write_contact_sheet(c->out, *data->train, c->columns);
            std::cout << "written: " << c->out << "\n";
        }
        return 0;
    };
}

}  // namespace backlight::apps
