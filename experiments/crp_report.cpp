#include "experiments/crp_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/npy.h"
#include "experiments/concept_data.h"
#include "experiments/run_report.h"
#include "explain/concepts/crp.h"
#include "report/heatmap.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/reduce.h"

namespace backlight {
namespace {

std::string class_name(const CrpRun& run, int64_t k) {
    const auto& names = run.data->class_names();
    return static_cast<size_t>(k) < names.size() ? names[static_cast<size_t>(k)] : std::to_string(k);
}

Tensor crop(const Tensor& picture, const PictureWindow& w) {
    const NoGrad off;
    return slice(Variable(picture), {w.top, w.left, 0}, {w.height, w.width, picture.dim(2)}).data();
}

/// At the border less is seen: windows grow to the largest of them, inside the picture.
std::vector<PictureWindow> of_one_size(std::vector<PictureWindow> windows, int64_t height, int64_t width) {
    int64_t tallest = 0, widest = 0;
    for (const PictureWindow& w : windows) {
        tallest = std::max(tallest, w.height);
        widest = std::max(widest, w.width);
    }
    for (PictureWindow& w : windows) {
        w = {std::min(w.top, height - tallest), std::min(w.left, width - widest), tallest, widest};
    }
    return windows;
}

/// Some samples, explained under one channel each.
struct Conditioned {
    std::vector<Tensor> pictures;  // what the network was given; undefined: no picture
    std::vector<Tensor> seen;      // the part around what the position of the largest value could see
    std::vector<Tensor> overlays;  // the map of the relevance that went through the channel
};

Conditioned condition(const CrpRun& run, int64_t channel, const std::vector<ReferenceSamples::Entry>& entries,
                      const std::vector<int64_t>& targets) {
    std::vector<int64_t> samples;
    std::vector<std::array<int64_t, 2>> positions;
    for (const auto& entry : entries) {
        samples.push_back(entry.sample);
        positions.push_back({entry.row, entry.column});
    }
    const ExplainedForward forward(*run.model.net, run.data->batch(samples).input);
    const auto crp =
        crp_explainer({{.layer = run.layer, .channels = {channel}}}, run.composite, true, run.context);
    const Tensor maps = forward.explain(*crp, {.targets = targets});
    const bool spatial = forward.layers().at(run.layer).rank() == 4 && maps.rank() == 4;
    const auto windows =
        spatial ? of_one_size(receptive_fields(forward, run.layer, positions), maps.dim(1), maps.dim(2))
                : std::vector<PictureWindow>(samples.size());
    Conditioned result;
    for (size_t i = 0; i < samples.size(); ++i) {
        const Tensor picture = sample_picture(*run.data, samples[i]);
        result.pictures.push_back(picture);
        const bool drawable = picture.defined() && maps.rank() == 4;
        result.seen.push_back(drawable && spatial ? crop(picture, windows[i]) : Tensor());
        result.overlays.push_back(
            drawable ? report::overlay(picture,
                                       report::batch_item(
                                           report::reduce_channels(maps.to(DType::f32), report::Reduce::sum),
                                           static_cast<int64_t>(i)),
                                       {.desaturate = 0.6})
                     : Tensor());
    }
    return result;
}

bool has_pictures(const std::vector<Tensor>& row) {
    return std::any_of(row.begin(), row.end(), [](const Tensor& picture) { return picture.defined(); });
}

int64_t target_of(const ChannelSurvey& survey, int64_t sample) {
    const auto at = std::find(survey.samples.begin(), survey.samples.end(), sample);
    return survey.targets[static_cast<size_t>(at - survey.samples.begin())];
}

/// "3 (41 %), 8 (12 %)": classes in whose favour the channel speaks most.
std::string favoured(const CrpRun& run, const ChannelSurvey& survey, int64_t channel) {
    const auto values = survey.by_class.to_vector<double>();
    const auto channels = static_cast<size_t>(survey.by_class.dim(1));
    std::vector<int64_t> classes(static_cast<size_t>(survey.by_class.dim(0)));
    std::iota(classes.begin(), classes.end(), int64_t{0});
    const auto share = [&](int64_t k) {
        return values[static_cast<size_t>(k) * channels + static_cast<size_t>(channel)];
    };
    std::stable_sort(classes.begin(), classes.end(),
                     [&](int64_t a, int64_t b) { return share(a) > share(b); });
    std::string text;
    for (size_t i = 0; i < std::min<size_t>(classes.size(), 3); ++i) {
        text +=
            (i > 0 ? ", " : "") + class_name(run, classes[i]) + " (" + percent_text(share(classes[i])) + ")";
    }
    return text;
}

void add_channel(report::Page& page, const CrpRun& run, const ChannelSurvey& survey, int64_t channel) {
    std::vector<ReferenceSamples::Entry> entries = survey.references.of(channel);
    entries.resize(std::min(entries.size(), static_cast<size_t>(run.shown_samples)));
    std::vector<int64_t> targets;
    report::FigureGrid grid;
    for (const auto& entry : entries) {
        targets.push_back(target_of(survey, entry.sample));
        grid.columns.push_back(class_name(run, targets.back()) + ", no. " + std::to_string(entry.sample));
    }
    page.subsection("Channel " + std::to_string(channel));
    page.text("On average " + percent_text(survey.mean_abs[static_cast<size_t>(channel)]) +
              " of the relevance at the layer, by absolute value; most for " +
              favoured(run, survey, channel) + ".");
    const Conditioned c = condition(run, channel, entries, targets);
    for (const auto& [name, row] : {std::pair("picture", &c.pictures), std::pair("seen", &c.seen),
                                    std::pair("relevance", &c.overlays)}) {
        if (has_pictures(*row)) {
            grid.rows.emplace_back(name);
            grid.pictures.push_back(*row);
        }
    }
    if (!grid.pictures.empty()) {
        grid.caption =
            "The samples of largest " + std::string(run.by_activation ? "activation" : "relevance") +
            " of channel " + std::to_string(channel) +
            ", with the class that is explained: the part that its strongest position can see, and where the "
            "relevance comes from that passes through the channel.";
        page.grid(grid);
    }
}

void add_sample(report::Page& page, const CrpRun& run, const ChannelSurvey& survey, int64_t sample) {
    const std::vector<int64_t> one{sample};
    const ExplainedForward forward(*run.model.net, run.data->batch(one).input);
    const auto targets = explained_classes(run, forward, one);
    const auto whole = build_method(run.composite, run.context);
    const Tensor at_layer = forward.explain(*whole, {.targets = targets, .layers = {run.layer}});
    const auto share = channel_relevance(at_layer).to_vector<double>();
    std::vector<int64_t> order(share.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return std::abs(share[static_cast<size_t>(a)]) > std::abs(share[static_cast<size_t>(b)]);
    });
    order.resize(std::min(order.size(), static_cast<size_t>(run.shown_channels)));
    page.subsection("Sample " + std::to_string(sample) + ", explained for " + class_name(run, targets[0]));
    report::FigureGrid grid{.columns = {"sample", "relevance"}, .legend = report::color_bar({})};
    const Tensor picture = sample_picture(*run.data, sample);
    if (picture.defined()) {
        const Tensor map = forward.explain(*whole, {.targets = targets}).to(DType::f32);
        grid.rows.emplace_back("all channels");
        grid.pictures.push_back(
            {picture, report::overlay(
                          picture, report::batch_item(report::reduce_channels(map, report::Reduce::sum), 0),
                          {.desaturate = 0.6})});
    }
    report::Table table{.columns = {"channel", "share of the relevance"}};
    for (const int64_t channel : order) {
        table.rows.push_back({std::to_string(channel), percent_text(share[static_cast<size_t>(channel)])});
        if (!picture.defined()) {
            continue;
        }
        std::vector<ReferenceSamples::Entry> entries = survey.references.of(channel);
        entries.resize(std::min(entries.size(), static_cast<size_t>(run.shown_samples)));
        std::vector<int64_t> their_targets;
        for (const auto& entry : entries) {
            their_targets.push_back(target_of(survey, entry.sample));
        }
        std::vector<Tensor> row = condition(run, channel, {{.sample = sample}}, targets).overlays;
        const Conditioned references = condition(run, channel, entries, their_targets);
        const auto& shown = has_pictures(references.seen) ? references.seen : references.pictures;
        row.insert(row.begin(), Tensor());
        row.insert(row.end(), shown.begin(), shown.end());
        grid.rows.push_back("channel " + std::to_string(channel) + ": " +
                            percent_text(share[static_cast<size_t>(channel)]));
        grid.pictures.push_back(std::move(row));
    }
    if (!picture.defined()) {
        page.table(table);
        return;
    }
    for (int64_t i = 0; i < run.shown_samples; ++i) {
        grid.columns.push_back("reference " + std::to_string(i + 1));
    }
    grid.caption = "Each channel's share of the relevance at layer " + run.layer +
                   ", where it comes from in this sample, and what the channel saw in its reference samples.";
    page.grid(grid);
}

void write_files(const CrpRun& run, const ChannelSurvey& survey, const std::filesystem::path& folder) {
    const int64_t channels = survey.references.channels();
    std::vector<int64_t> samples, positions;
    std::vector<double> values;
    for (int64_t c = 0; c < channels; ++c) {
        const auto& best = survey.references.of(c);
        for (size_t k = 0; k < static_cast<size_t>(run.keep); ++k) {
            const bool is_there = k < best.size();
            samples.push_back(is_there ? best[k].sample : -1);
            values.push_back(is_there ? best[k].value : std::numeric_limits<double>::quiet_NaN());
            positions.push_back(is_there ? best[k].row : -1);
            positions.push_back(is_there ? best[k].column : -1);
        }
    }
    write_npy(folder / "channel_relevance.npy", Tensor::from(survey.mean_abs, {channels}));
    write_npy(folder / "class_relevance.npy", survey.by_class);
    write_npy(folder / "reference_samples.npy", Tensor::from(samples, {channels, run.keep}));
    write_npy(folder / "reference_values.npy", Tensor::from(values, {channels, run.keep}));
    write_npy(folder / "reference_positions.npy", Tensor::from(positions, {channels, run.keep, 2}));
    const nlohmann::json index = {{"model", run.model.spec},
                                  {"data", run.data_name},
                                  {"layer", run.layer},
                                  {"composite", run.composite},
                                  {"by", run.by_activation ? "activation" : "relevance"},
                                  {"pooling", run.pooling == PositionPooling::max ? "max" : "sum"},
                                  {"target", run.of_label ? "label" : "predicted"},
                                  {"samples", survey.references.samples_seen()},
                                  {"channels", channels},
                                  {"ranking", survey.ranking()},
                                  {"class_names", run.data->class_names()},
                                  {"class_counts", survey.class_counts},
                                  {"files",
                                   {"channel_relevance.npy", "class_relevance.npy", "reference_samples.npy",
                                    "reference_values.npy", "reference_positions.npy"}}};
    write_file_atomically(folder / "index.json", index.dump(2) + "\n");
}

}  // namespace

void write_crp_report(const CrpRun& run, const ChannelSurvey& survey, const std::filesystem::path& folder) {
    make_output_folder(folder);
    const int64_t channels = survey.references.channels();
    std::vector<int64_t> shown = run.channels;
    const auto order = survey.ranking();
    if (shown.empty()) {
        shown.assign(order.begin(), order.begin() + std::min<int64_t>(run.shown_channels, channels));
    }
    report::Page page(
        "What the channels of layer " + run.layer + " stand for",
        "Concept relevance propagation: how much of each decision passes through a channel, and the samples "
        "on which most of it does.");
    page.kicker("Backlight: concept relevance");
    page.fact("Model", run.model.spec).fact("Data", run.data_name);
    page.fact("Rules", run.composite).fact("Explained", run.of_label ? "the label" : "the predicted class");
    page.tile(std::to_string(channels), "channels").tile(std::to_string(survey.samples.size()), "samples");
    page.section("Relevance of the channels");
    report::BarChart chart{.title = "Mean share of |relevance|", .percent = true};
    for (int64_t i = 0; i < std::min<int64_t>(channels, 20); ++i) {
        const int64_t c = order[static_cast<size_t>(i)];
        chart.bars.push_back({"channel " + std::to_string(c), survey.mean_abs[static_cast<size_t>(c)],
                              "most for " + favoured(run, survey, c)});
        chart.bars.back().note = chart.bars.back().note.substr(0, chart.bars.back().note.find(','));
    }
    page.figure(
        {.svg = report::bar_chart(chart),
         .caption = "The " + std::to_string(chart.bars.size()) +
                    " most relevant channels. A sample's channels add up to 100 % by absolute value."});
    if (!run.explained.empty()) {
        page.section("Decisions taken apart");
        for (const int64_t sample : run.explained) {
            add_sample(page, run, survey, sample);
        }
    }
    page.section("Channels");
    for (const int64_t channel : shown) {
        add_channel(page, run, survey, channel);
    }
    write_files(run, survey, folder);
    page.write(folder / "report.html");
}

}  // namespace backlight
