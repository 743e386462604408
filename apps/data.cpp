// backlight data: what a data set holds, and a contact sheet of it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>

#include "apps/checks.h"
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

/// Pixels of the mask at its edge become red, so that what it marks stays visible.
void draw_outline(Tensor& picture, const Tensor& mask) {
    const int64_t height = mask.dim(0), width = mask.dim(1);
    const std::vector<float> values = mask.to_vector<float>();
    std::vector<uint8_t> pixels = picture.to_vector<uint8_t>();
    const auto marked = [&](int64_t row, int64_t column) {
        return row >= 0 && row < height && column >= 0 && column < width &&
               values[static_cast<size_t>(row * width + column)] >= 0.5f;
    };
    for (int64_t row = 0; row < height; ++row) {
        for (int64_t column = 0; column < width; ++column) {
            if (marked(row, column) && !(marked(row - 1, column) && marked(row + 1, column) &&
                                         marked(row, column - 1) && marked(row, column + 1))) {
                const auto at = static_cast<size_t>(3 * (row * width + column));
                pixels[at] = 255;
                pixels[at + 1] = pixels[at + 2] = 0;
            }
        }
    }
    picture = Tensor::from(pixels, picture.shape());
}

void write_contact_sheet(const std::string& path, const Dataset& data, int64_t columns, bool masks) {
    BACKLIGHT_CHECK(
        data.sample_shape().rank() == 3 && (data.sample_shape()[2] == 1 || data.sample_shape()[2] == 3),
        "data: samples of shape ", data.sample_shape(), " are not pictures, so there is no contact sheet");
    BACKLIGHT_CHECK(!masks || data.has_masks(), "--masks: the data set has no masks");
    const InputRange range = data.input_range();
    const double low = *std::min_element(range.low.begin(), range.low.end());
    const double high = *std::max_element(range.high.begin(), range.high.end());
    auto members = data.samples_by_class();
    std::vector<std::vector<Tensor>> rows;
    std::vector<std::string> names;
    for (size_t k = 0; k < members.size(); ++k) {
        if (members[k].empty()) {
            continue;
        }
        names.push_back(data.class_names()[k]);
        rows.emplace_back();
        members[k].resize(std::min(members[k].size(), static_cast<size_t>(columns)));
        for (const int64_t index : members[k]) {
            try {
                const Example example = data.get(index);
                rows.back().push_back(report::picture(example.input, low, high));
                if (masks) {
                    draw_outline(rows.back().back(), example.mask);
                }
            } catch (const CorruptSample&) {  // left out
            }
        }
    }
    BACKLIGHT_CHECK(!rows.empty(), "data: this part has no samples, so there is no contact sheet");
    write_png(path, report::grid(rows, {.rows = names}));
}

/// Samples of each class; of a multi-label set those that show it and those in which it is to be ignored.
void print_counts(std::ostream& out, const std::string& name, const Dataset& data) {
    out << name << ": " << data.size() << " samples of shape " << data.sample_shape() << "\n";
    size_t width = 5;
    for (const std::string& class_name : data.class_names()) {
        width = std::max(width, class_name.size());
    }
    std::vector<int64_t> ignored(data.class_names().size());
    for (int64_t i = 0; data.is_multi_label() && i < data.size(); ++i) {
        const std::vector<Presence> presence = data.presence(i);
        for (size_t k = 0; k < presence.size(); ++k) {
            ignored[k] += presence[k] == Presence::ignored ? 1 : 0;
        }
    }
    const auto counts = data.class_counts();
    for (size_t k = 0; k < counts.size(); ++k) {
        out << "  " << std::left << std::setw(static_cast<int>(width)) << data.class_names()[k] << std::right
            << "  " << std::setw(6) << counts[k];
        if (ignored[k] > 0) {
            out << "  and " << ignored[k] << " only difficult";
        }
        out << "\n";
    }
}

}  // namespace

Run add_data(CLI::App& app, const Common&) {
    struct Config {
        std::string spec, out, split = "train";
        int64_t columns = 8;
        bool masks = false;
    };
    CLI::App* cmd = app.add_subcommand("data", "Counts, sizes and a contact sheet of a data set");
    auto c = std::make_shared<Config>();
    cmd->add_option("spec", c->spec, "Data set, e.g. digits, cifar10:DIR (backlight list data)")->required();
    cmd->add_option("--out", c->out, "Contact sheet (PNG)");
    cmd->add_option("--split", c->split, "Part of the data on the sheet");
    cmd->add_option("--columns", c->columns, "Pictures a class on the sheet")->check(at_least_one());
    cmd->add_flag("--masks", c->masks, "Outline the masks on the sheet");
    return [c] {
        BACKLIGHT_CHECK(c->out.empty() || c->out.ends_with(".png"),
                        "--out: expected a file name that ends in .png, got ", c->out);
        if (!c->out.empty()) {
            check_output("--out", c->out);
        }
        const auto data = load_data(c->spec);
        for (const std::string& note : data->notes) {
            std::cout << note << "\n";
        }
        for (const std::string& name : data->split_names()) {
            print_counts(std::cout, name, *data->split(name));
        }
        if (!c->out.empty()) {
            write_contact_sheet(c->out, *data->split(c->split), c->columns, c->masks);
            std::cout << "written: " << c->out << "\n";
        }
        return 0;
    };
}

}  // namespace backlight::apps
