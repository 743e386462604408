#include "experiments/demo.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "experiments/photographs.h"
#include "experiments/run_report.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

TrainConfig training(const DemoConfig& config, const std::string& data, const std::filesystem::path& run) {
    TrainConfig c;
    c.model = "cnn_small(in=1)";
    c.data = data;
    c.run = run;
    c.epochs = config.quick ? 4 : 20;
    c.batch_size = 32;
    c.lr = 0.004;
    c.optimizer.name = "adam";
    c.schedule = "cosine";
    c.seed = config.seed;
    c.overwrite = true;
    return c;
}

std::vector<int64_t> members_of(const Dataset& data, int64_t label) {
    std::vector<int64_t> members;
    for (int64_t i = 0; i < data.size(); ++i) {
        if (data.label(i) == label) {
            members.push_back(i);
        }
    }
    return members;
}

/// Share of the positive LRP relevance for `label` that lies on the mark's pixels, over the given images.
double mass_on_mark(const Model& model, const Dataset& data, const std::vector<int64_t>& indices,
                    int64_t label) {
    const Batch batch = data.batch(indices);
    const ExplainedForward forward(*model.net, batch.input);
    const auto lrp = build_method("epsilon_plus");
    const Tensor relevance = forward.explain(*lrp, {.targets = std::vector<int64_t>(indices.size(), label)});
    const NoGrad off;
    const Variable positive = positive_part(sum(Variable(relevance), {3}));
    const double total = sum(positive).item();
    return total > 0 ? sum(positive * Variable(batch.decoy_mask)).item() / total : 0.0;
}

double class_accuracy(const Model& model, const Dataset& data, int64_t label) {
    return evaluate(*model.net, data).class_accuracy()[static_cast<size_t>(label)];
}

}  // namespace

DemoResult run_demo(const DemoConfig& config, const TrainHooks& hooks, std::ostream& out) {
    const int64_t k = config.marked_class;
    std::optional<Photographs> photographs;
    if (!config.weights.empty()) {
        out << "Photographs, by EfficientNet-Lite0\n";
        photographs = explain_photographs(config.weights, config.photos, out);
        out << "\n";
    }
    out << "1. Handwritten digits\n";
    const TrainResult clean = train(training(config, "digits", config.run), hooks);
    if (clean.interrupted) {
        return {};
    }
    const Dataset& test = *clean.data->test;
    print_evaluation(out, clean.test, test.class_names());

    out << "\n2. The same digits with a mark in every " << test.class_names()[static_cast<size_t>(k)] << "\n";
    const std::string marked_data = "digits(mark=" + std::to_string(k) + ")";
    const TrainResult hans = train(training(config, marked_data, config.run / "clever_hans"), hooks);
    if (hans.interrupted) {
        return {};
    }
    const Dataset& marked = *hans.data->test;
    const Dataset& unmarked = *hans.data->split("unmarked");
    const std::vector<int64_t> members = members_of(marked, k);

    DemoResult result;
    result.clean_accuracy = clean.test.accuracy;
    result.marked_accuracy = hans.test.class_accuracy()[static_cast<size_t>(k)];
    result.unmarked_accuracy = class_accuracy(hans.model, unmarked, k);
    result.mass_on_mark = mass_on_mark(hans.model, marked, members, k);
    result.mass_control = mass_on_mark(clean.model, marked, members, k);
    const Evaluation without = evaluate(*hans.model.net, unmarked);
    print_evaluation(out, hans.test, marked.class_names());
    out << "class " << k << " with its mark " << percent_text(result.marked_accuracy) << ", without it "
        << percent_text(result.unmarked_accuracy) << "\n"
        << "relevance on the mark " << percent_text(result.mass_on_mark)
        << " (first network: " << percent_text(result.mass_control) << ")\n";

    const double drop = 100 * (result.marked_accuracy - result.unmarked_accuracy);
    report::Page page(
        "What does the network look at?",
        "A small convolutional network learns handwritten digits, twice: as they are, and with a mark "
        "planted in one class. Accuracy does not tell the two apart. The explanations do.");
    page.kicker("Backlight demo");
    page.fact("Data", "UCI handwritten digits, 8 × 8").fact("Network", clean.model.spec);
    page.fact("Parameters", std::to_string(clean.model.net->parameter_count()))
        .fact("Seed", std::to_string(config.seed));
    page.tile(percent_text(result.clean_accuracy), "test accuracy, as they are",
              std::to_string(clean.test.samples) + " digits");
    page.tile(percent_text(result.marked_accuracy), "of the marked class, with its mark");
    page.tile(percent_text(result.unmarked_accuracy), "of the same digits, mark taken away");
    page.tile(percent_text(result.mass_on_mark), "of the relevance lies on the mark",
              "control: " + percent_text(result.mass_control));

    page.section("Digits as they are");
    add_curves(page, config.run / "metrics.jsonl");
    add_class_scores(page, clean.test, test.class_names());
    page.subsection("Explanations");
    const std::string legend =
        "Red speaks for the predicted class, blue against it, white is zero; each map has its own scale. The "
        "gradient "
        "and Grad-CAM start with 1 at the logit, LRP starts with the logit itself.";
    add_explanations(page, clean.model, test, samples_of_each_class(test, 10), config.run / "explanations",
                     legend);

    page.section("Clever Hans: a mark in one class");
    page.text(
        "Every training image of the class `" + test.class_names()[static_cast<size_t>(k)] +
        "` now carries a bright block of 2 × 2 pixels in its top left corner, and so do the test images of "
        "that "
        "class, as they do when both were collected together. On that test set the network looks fine: " +
        percent_text(hans.test.accuracy) + " overall.");
    page.table({.columns = {"test set", "all classes", "marked class"},
                .rows = {{"with the mark, as collected", percent_text(hans.test.accuracy),
                          percent_text(result.marked_accuracy)},
                         {"the same digits without the mark", percent_text(without.accuracy),
                          percent_text(result.unmarked_accuracy)}},
                .caption = "Taking the mark away costs the marked class " +
                           std::to_string(static_cast<int>(drop + 0.5)) +
                           " points: the network had learned the mark, not the digit.",
                .highlight = 1});
    page.text("The heatmaps show it without a second test set: " + percent_text(result.mass_on_mark) +
              " of the positive relevance lies on the mark, which covers 6.3 % of the image. For the network "
              "of the "
              "first part, on the same images and the same pixels, it is " +
              percent_text(result.mass_control) + ".");
    const std::vector<int64_t> shown(
        members.begin(), members.begin() + std::min<int64_t>(5, static_cast<int64_t>(members.size())));
    page.subsection("The marked class, second network");
    add_explanations(page, hans.model, marked, shown, config.run / "clever_hans" / "explanations",
                     "Marked test images, network trained with the mark.");
    page.subsection("The same images, first network");
    add_explanations(page, clean.model, marked, shown, config.run / "clever_hans" / "explanations_control",
                     "Marked test images, network trained without the mark.");
    if (photographs) {
        add_photographs(page, *photographs);
    }
    page.section("How this was made");
    page.text("Training: Adam, learning rate 0.004 with a cosine schedule, batch 32, " +
              std::to_string(clean.epochs_done) +
              " epochs. LRP is the composite epsilon_plus, start = logit. Relevance mass is the share of "
              "positive relevance, "
              "summed over channels, for the marked class, over all its test images.");
    page.footer("UCI Optical Recognition of Handwritten Digits: E. Alpaydin and C. Kaynak, 1998, CC BY 4.0." +
                std::string(photographs ? " Photographs: samples of scikit-image." : ""));
    page.write(config.run / "report.html");
    return result;
}

}  // namespace backlight
