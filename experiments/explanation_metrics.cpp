#include "experiments/explanation_metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "core/error.h"
#include "core/random.h"
#include "datasets/frame.h"
#include "datasets/loader.h"
#include "datasets/transforms.h"
#include "explain/explainer.h"
#include "report/progress.h"

namespace backlight {
namespace {

using nlohmann::json;

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

/// Samples whose recorded pass with its backward fits memory: about a million input values.
int64_t explained_at_once(const Shape& sample) {
    constexpr int64_t kValues = 1'200'000, kMost = 256;
    return std::clamp<int64_t>(kValues / std::max<int64_t>(sample.numel(), 1), 1, kMost);
}

bool has_boxes(const DataSource& data) {
    const Spec spec = parse_spec(data.spec);
    const auto kind = spec.values.find("mask");
    return spec.name == "voc2012" && (kind == spec.values.end() || kind->second == "boxes");
}

/// Training samples where a method compares with them.
Tensor background_of(const DataSource& data, const ExplanationMetricsConfig& config) {
    const int64_t size = data.train->size();
    const std::vector<int64_t> drawn =
        RandomStream(RandomKey{.seed = config.seed, .purpose = purpose::kExplainer})
            .sample(size, std::min(config.background_size, size));
    return data.train->batch(readable(*data.train, drawn)).input;
}

MetricContext context_of(const LoadedModel& model, const DataSource& data, const Dataset& set,
                         const ExplanationMetricsConfig& config) {
    const InputRange range = set.input_range();
    const Model& net = model.model;
    MetricContext context{.explain = {.cam_layer = net.cam_layer,
                                      .low = widened(range.low),
                                      .high = widened(range.high),
                                      .mean = widened(set.normalization().mean),
                                      .std = widened(set.normalization().std),
                                      .seed = config.seed,
                                      .background =
                                          [&data, &config, drawn = std::make_shared<Tensor>()] {
                                              if (!drawn->defined()) {
                                                  *drawn = background_of(data, config);
                                              }
                                              return *drawn;
                                          }},
                          .multi_label = set.is_multi_label(),
                          .masks_are_boxes = has_boxes(data),
                          .init = net.init};
    context.build_network = [&net] {
        Model built = build_network(net.spec, net.classes);
        adopt_widths(*built.net, *net.net);
        return std::move(built.net);
    };
    return context;
}

/// Pixels of the sample a pixel of its original picture, from what the transforms do to its frame.
double zoom_of(const Dataset& set, int64_t index) {
    const RawSample raw = set.load(index);
    if (!raw.picture) {
        return 1;
    }
    Frame frame(raw.picture->height(), raw.picture->width());
    for (const auto& transform : set.transforms()) {
        transform->place(frame, nullptr);
    }
    double zoom = 1;
    for (const Frame::Stage& stage : frame.stages()) {
        zoom *= static_cast<double>(stage.height) / static_cast<double>(stage.source.height);
    }
    return zoom;
}

MetricSamples samples_of(const Batch& batch, const Dataset& set, bool masks) {
    MetricSamples samples{.x = batch.input, .number = batch.indices};
    for (const int64_t index : batch.indices) {
        const std::vector<Presence> presence = set.presence(index);
        std::vector<int64_t>& shown = samples.classes.emplace_back();
        for (size_t k = 0; k < presence.size(); ++k) {
            if (presence[k] == Presence::present) {
                shown.push_back(static_cast<int64_t>(k));
            }
        }
        if (masks) {
            samples.zoom.push_back(zoom_of(set, index));
        }
    }
    if (masks && set.is_multi_label()) {
        samples.class_mask = [&set, indices = batch.indices](size_t n, int64_t k) {
            return set.class_mask(indices[n], k);
        };
    } else if (masks) {
        samples.mask = batch.mask;
    }
    return samples;
}

std::string number_text(double value) {
    if (std::isnan(value)) {
        return "-";
    }
    std::ostringstream out;
    out << std::setprecision(4) << value;
    return out.str();
}

/// Cells under headings; the first `left` columns are text.
void print_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows, size_t left) {
    std::vector<size_t> width(rows[0].size(), 0);
    for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) {
            width[i] = std::max(width[i], row[i].size());
        }
    }
    for (const auto& row : rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string space(width[i] - row[i].size(), ' ');
            line += (i > 0 ? "  " : "") + (i < left ? row[i] + space : space + row[i]);
        }
        out << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
    }
}

/// Σ R at each layer, and what was lost on the way there.
void print_layers(std::ostream& out, const MeanCurve& curve) {
    std::vector<std::vector<std::string>> rows{{"layer", "sum", "absorbed before"}};
    for (size_t i = 0; i < curve.mean.size(); ++i) {
        rows.push_back({curve.points[i], number_text(curve.mean[i]),
                        i == 0 ? "" : number_text(curve.mean[i - 1] - curve.mean[i])});
    }
    out << "relevance by layer, " << curve.explainer << ", mean over samples:\n";
    print_table(out, rows, 1);
}

std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\n") == std::string::npos) {
        return text;
    }
    std::string quoted = "\"";
    for (const char c : text) {
        quoted += c == '"' ? "\"\"" : std::string(1, c);
    }
    return quoted + "\"";
}

/// The shortest text that reads back as the same number.
std::string exact_text(double value) {
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    return std::isnan(value) ? "nan" : std::string(text.data(), end);
}

}  // namespace

void check_names(const ExplanationMetricsConfig& config) {
    for (const std::string& text : config.metrics) {
        (void)build_metric(text);
        for (const MetricEntry& entry : list_metrics()) {
            const bool lacks_masks =
                entry.name == parse_spec(text).name && entry.needs == "masks" && !config.masks;
            BACKLIGHT_CHECK(!lacks_masks, entry.name, ": needs the masks of the data set (--masks)");
        }
    }
    const std::vector<std::string> known = method_names();
    for (const std::string& text : config.methods) {
        const std::string name = parse_spec(text).name;
        BACKLIGHT_CHECK(std::find(known.begin(), known.end(), name) != known.end(),
                        unknown_name("method", name, known), " (backlight list methods)");
    }
}

std::vector<int64_t> spread_samples(int64_t size, int64_t limit) {
    const int64_t count = limit > 0 ? std::min(limit, size) : size;
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < count; ++i) {
        numbers.push_back(i * size / count);
    }
    return numbers;
}

MetricRun measure_explanations(LoadedModel& model, const DataSource& data, const std::string& split,
                               const std::vector<int64_t>& samples, const ExplanationMetricsConfig& config,
                               const std::shared_ptr<CorruptSamples>& corrupt) {
    const std::shared_ptr<const Dataset> set = data.split(split);
    BACKLIGHT_CHECK(!config.masks || set->has_masks(), "--masks: ", data.spec, " has no masks");
    const MetricContext context = context_of(model, data, *set, config);
    report::PatientProgress progress("samples");
    const auto total = static_cast<int64_t>(samples.size());
    MetricRun run(*model.model.net, {.methods = config.methods,
                                     .metrics = config.metrics,
                                     .target = config.target,
                                     .reduce = config.reduce,
                                     .context = context});
    const int64_t batch_size =
        config.batch_size > 0 ? config.batch_size : explained_at_once(set->sample_shape());
    Loader loader(set, {.batch_size = batch_size,
                        .shuffle = false,
                        .augment = false,
                        .on_corrupt = corrupt ? OnCorrupt::leave_out : OnCorrupt::stop,
                        .corrupt = corrupt});
    loader.seek({0, 0}, samples);
    while (const auto batch = loader.next()) {
        run.add(samples_of(*batch, *set, config.masks));
        progress.update(run.samples(), total);
    }
    BACKLIGHT_CHECK(run.samples() > 0, "metrics: none of the ", total, " samples can be read");
    return run;
}

void print_metrics(std::ostream& out, const MetricRun& run) {
    std::vector<std::vector<std::string>> rows{{"explainer", "metric", "better", "mean", "std", "median",
                                                "class mean", "random", "valid", "skipped", "degenerate"}};
    for (const MetricSeries& series : run.series()) {
        const Summary& s = series.summary;
        rows.push_back({series.explainer, series.metric, series.better, number_text(s.mean),
                        number_text(s.std), number_text(s.median), number_text(series.class_mean),
                        number_text(series.mean_chance), std::to_string(s.valid), std::to_string(s.skipped),
                        std::to_string(series.degenerate)});
    }
    out << "\n" << run.units().size() << " explanations a method, of " << run.samples() << " samples\n";
    print_table(out, rows, 3);
    const auto comparisons = run.comparisons();
    if (!comparisons.empty()) {
        out << "\npaired differences, 95 % bootstrap interval\n";
        std::vector<std::vector<std::string>> pairs{{"metric", "a", "b", "a - b", "from", "to", "pairs"}};
        for (const MetricComparison& c : comparisons) {
            pairs.push_back({c.metric, c.a, c.b, number_text(c.result.difference), number_text(c.result.low),
                             number_text(c.result.high), std::to_string(c.result.pairs)});
        }
        print_table(out, pairs, 3);
    }
    for (const MeanCurve& curve : run.curves()) {
        if (curve.name == "conservation[layers]") {
            out << "\n";
            print_layers(out, curve);
        }
    }
    out << "\n"
        << std::setprecision(3) << run.seconds() << " s, " << 100 * run.network().seconds / run.seconds()
        << " % of it in the network, " << static_cast<double>(run.network().forwards) / run.seconds()
        << " inputs/s\n"
        << std::setprecision(6);
}

std::string metrics_json(const MetricRun& run) {
    json summary = json::array(), curves = json::array(), comparisons = json::array();
    for (const MetricSeries& series : run.series()) {
        summary.push_back({{"explainer", series.explainer},
                           {"reduce", series.reduce},
                           {"metric", series.metric},
                           {"better", series.better},
                           {"mean", series.summary.mean},
                           {"std", series.summary.std},
                           {"median", series.summary.median},
                           {"class_mean", series.class_mean},
                           {"random", series.mean_chance},
                           {"valid", series.summary.valid},
                           {"skipped", series.summary.skipped},
                           {"degenerate", series.degenerate}});
    }
    for (const MeanCurve& curve : run.curves()) {
        curves.push_back({{"explainer", curve.explainer},
                          {"name", curve.name},
                          {"points", curve.points},
                          {"mean", curve.mean}});
    }
    for (const MetricComparison& c : run.comparisons()) {
        comparisons.push_back({{"metric", c.metric},
                               {"better", c.better},
                               {"a", c.a},
                               {"b", c.b},
                               {"difference", c.result.difference},
                               {"low", c.result.low},
                               {"high", c.result.high},
                               {"pairs", c.result.pairs}});
    }
    const json all = {{"samples", run.samples()},
                      {"explanations", run.units().size()},
                      {"summary", summary},
                      {"curves", curves},
                      {"comparisons", comparisons},
                      {"speed",
                       {{"seconds", run.seconds()},
                        {"network_share", run.network().seconds / run.seconds()},
                        {"inputs_per_second", static_cast<double>(run.network().forwards) / run.seconds()}}}};
    return all.dump();
}

std::string metrics_csv(const MetricRun& run) {
    std::string text = "sample,class,explainer,metric,value\n";
    for (const MetricSeries& series : run.series()) {
        const std::string names = csv_field(series.explainer) + "," + csv_field(series.metric) + ",";
        for (size_t unit = 0; unit < run.units().size(); ++unit) {
            text += std::to_string(run.units()[unit].sample) + "," +
                    std::to_string(run.units()[unit].target) + "," + names + exact_text(series.values[unit]) +
                    "\n";
        }
    }
    return text;
}

}  // namespace backlight
