#include "experiments/photographs.h"

#include <algorithm>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "experiments/run_report.h"
#include "explain/explainer.h"
#include "report/heatmap.h"
#include "report/plot.h"
#include "report/reduce.h"
#include "train/picture.h"
#include "train/trainer.h"

namespace backlight {
namespace {

constexpr int64_t kShown = 5;  // classes a photograph

struct Column {
    const char *title, *method;
    bool overlaid;  // a coarse map says more over its photograph
};
constexpr Column kColumns[] = {{"Grad-CAM", "grad_cam", true},
                               {"LRP (ε, z+)", "epsilon_plus", false},
                               {"guided backprop", "guided_backprop", false},
                               {"gradient", "gradient", false}};

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
    BACKLIGHT_CHECK(std::filesystem::is_directory(folder), "photographs: no folder ", folder.string());
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    BACKLIGHT_CHECK(!files.empty(), "photographs: none in ", folder.string());
    return files;
}

/// "39.4 %" stays in one line.
std::string unbroken(std::string text) { return text.replace(text.rfind(' '), 1, "\u00a0"); }

/// "Egyptian cat 39.4 %", the likeliest first.
std::vector<std::string> likeliest(const Variable& logits, const std::vector<std::string>& names) {
    const NoGrad off;
    const auto [values, index] = top_k(softmax(logits).data(), kShown);
    const auto shares = values.to_vector<float>();
    const auto classes = index.to_vector<int64_t>();
    std::vector<std::string> texts;
    for (size_t i = 0; i < classes.size(); ++i) {
        texts.push_back(names[static_cast<size_t>(classes[i])] + " " +
                        percent_text(static_cast<double>(shares[i])));
    }
    return texts;
}

}  // namespace

Photographs explain_photographs(const std::filesystem::path& weights, const std::filesystem::path& folder,
                                std::ostream& out) {
    const LoadedModel loaded = load_model("efficientnet_lite0", 0, weights);
    const Model& model = loaded.model;
    BACKLIGHT_CHECK(static_cast<int64_t>(loaded.class_names.size()) == model.classes &&
                        model.classes >= kShown && loaded.low.size() == 1 && loaded.high.size() == 1,
                    weights.string(), ": does not say what its classes and its range of pixels are");
    Photographs made{.classes = {.columns = {"photograph", "most likely", "2nd", "3rd", "4th", "5th"}},
                     .explained = {.columns = {"photograph"}, .legend = report::color_bar({}), .cell = 132}};
    for (const Column& column : kColumns) {
        made.explained.columns.emplace_back(column.title);
    }
    for (const std::filesystem::path& file : files_of(folder)) {
        const Tensor x = read_picture(file, model);
        const ExplainedForward forward(*model.net, x);
        std::vector<std::string> row = likeliest(forward.logits(), loaded.class_names);
        made.explained.rows.push_back(unbroken(row[0]));
        out << "  " << file.filename().string() << ":";
        for (size_t i = 0; i < row.size(); ++i) {
            out << (i == 0 ? " " : ", ") << row[i];
        }
        out << "\n";
        std::transform(row.begin(), row.end(), row.begin(), unbroken);
        row.insert(row.begin(), file.stem().string());
        made.classes.rows.push_back(std::move(row));

        const Tensor photograph = report::picture(report::batch_item(x, 0), loaded.low[0], loaded.high[0]);
        std::vector<Tensor> pictures{photograph};
        for (const Column& column : kColumns) {
            const auto method = build_method(
                column.method, {.cam_layer = model.cam_layer, .low = loaded.low, .high = loaded.high});
            const Tensor relevance = forward.explain(*method, {.targets = forward.predicted()});
            const Tensor map = report::batch_item(report::reduce_channels(relevance, report::Reduce::sum), 0);
            // A few pixels of a network this deep outshine all others.
            const report::HeatmapOptions heatmap{.percentile = column.overlaid ? 100.0 : 99.5};
            pictures.push_back(column.overlaid
                                   ? report::overlay(photograph, map, {.alpha = 0.7, .heatmap = heatmap})
                                   : report::heatmap_image(map, heatmap));
        }
        made.explained.pictures.push_back(std::move(pictures));
    }
    made.explained.caption =
        "Explained for the most likely class. Red speaks for it, blue against it; each map has its own "
        "scale, whose "
        "strongest colour is the 99.5th percentile (Grad-CAM: the maximum). Gradients start with 1 at the "
        "logit, LRP "
        "with the logit.";
    made.classes.caption = "The five likeliest of 1,000 classes (softmax).";
    return made;
}

void add_photographs(report::Page& page, const Photographs& photographs) {
    page.section("Photographs");
    page.text(
        "EfficientNet-Lite0, with the ImageNet weights of its authors, on photographs from elsewhere. The "
        "centre of each, "
        "224 × 224 pixels, goes through the network. People are no class of ImageNet: for a portrait it "
        "names what "
        "else it sees, or believes to see.");
    page.table(photographs.classes);
    page.grid(photographs.explained);
}

}  // namespace backlight
