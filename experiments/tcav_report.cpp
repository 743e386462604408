#include "experiments/tcav_report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "core/io/file.h"
#include "experiments/run_report.h"
#include "report/page.h"
#include "report/plot.h"

namespace backlight {
namespace {

std::string short_number(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, value < 0.001 ? "%.1e" : "%.3f", value);
    return value == 0 ? "0" : buffer;
}

Tensor sensitivity_of_class(const TcavRun& run, int64_t k, int64_t& samples) {
    const ConceptSource& source = run.source;
    SampleSet members{.name = "class",
                      .files = {},
                      .data = source.data,
                      .indices = source.data->samples_by_class()[static_cast<size_t>(k)]};
    BACKLIGHT_CHECK(!members.indices.empty(), "tcav: the data has no sample of class ",
                    source.data->class_names()[static_cast<size_t>(k)]);
    members = members.limited(run.samples, run.options.cav.seed);
    samples = members.size();
    const auto method = build_method(run.method, run.context);
    std::vector<Tensor> parts;
    for_each_forward(
        source.model, members, source.batch_size, [&](const ExplainedForward& forward, int64_t first) {
            const int64_t rows = forward.logits().dim(0);
            parts.push_back(layer_sensitivity(
                forward, *method, source.layer, std::vector<int64_t>(static_cast<size_t>(rows), k),
                {members.indices.begin() + first, members.indices.begin() + first + rows}));
        });
    return stacked(parts);
}

nlohmann::json scores(const std::vector<TcavScore>& list, double TcavScore::*member) {
    nlohmann::json json = nlohmann::json::array();
    for (const TcavScore& score : list) {
        json.push_back(score.*member);
    }
    return json;
}

nlohmann::json test_json(const TTest& test) {
    return {{"t", std::isfinite(test.t) ? nlohmann::json(test.t) : nlohmann::json()},
            {"degrees", test.degrees},
            {"p", test.p}};
}

nlohmann::json json_of(const TcavRun& run, size_t tests, const TcavFinding& f) {
    const TcavResult& r = f.result;
    return {{"concept", f.concept_name},
            {"class", f.class_name},
            {"class_number", f.class_number},
            {"samples", f.samples},
            {"cav_accuracy", f.accuracy},
            {"random_sets_disjoint", f.disjoint},
            {"score", r.mean_concept.sign},
            {"random_score", r.mean_random.sign},
            {"test", test_json(r.sign_test)},
            {"magnitude", r.mean_concept.magnitude},
            {"random_magnitude", r.mean_random.magnitude},
            {"magnitude_test", test_json(r.magnitude_test)},
            {"significant", is_significant(run, tests, f)},
            {"scores", scores(r.of_concept, &TcavScore::sign)},
            {"random_scores", scores(r.of_random, &TcavScore::sign)}};
}

void add_concept(report::Page& page, const TcavRun& run, const std::vector<TcavFinding>& found,
                 const std::string& name) {
    report::BarChart chart{.percent = true, .x_min = 0.0, .x_max = 1.0};
    report::Table table{
        .columns = {"class", "samples", "score", "random", "p", "magnitude", "random", "p", "verdict"}};
    double random = 0, count = 0, accuracy = 0;
    for (const TcavFinding& f : found) {
        if (f.concept_name != name) {
            continue;
        }
        const TcavResult& r = f.result;
        const bool significant = is_significant(run, found.size(), f);
        const std::string verdict = !significant                               ? "not told from chance"
                                    : r.mean_concept.sign > r.mean_random.sign ? "speaks for it"
                                                                               : "speaks against it";
        chart.bars.push_back({f.class_name, r.mean_concept.sign,
                              significant ? "p = " + short_number(r.sign_test.p) : "not significant"});
        table.rows.push_back({f.class_name, std::to_string(f.samples), short_number(r.mean_concept.sign),
                              short_number(r.mean_random.sign), short_number(r.sign_test.p),
                              short_number(r.mean_concept.magnitude), short_number(r.mean_random.magnitude),
                              short_number(r.magnitude_test.p), verdict});
        random += r.mean_random.sign;
        accuracy = f.accuracy;
        count += 1;
    }
    chart.reference = random / count;
    chart.reference_label = "random";
    page.section("Concept " + name);
    page.text("The vectors are right on " + percent_text(accuracy) + " of the held-out samples.");
    page.figure(
        {.svg = report::bar_chart(chart),
         .caption =
             "Share of a class's samples whose logit grows along the concept. The dashed line is the mean of "
             "random directions."});
    page.table(table);
}

}  // namespace

std::vector<TcavFinding> run_tcav(const TcavRun& run) {
    const ConceptSource& source = run.source;
    BACKLIGHT_CHECK(run.random.size() == run.concepts.size(), "tcav: ", run.concepts.size(),
                    " concepts need as many sets to draw from, got ", run.random.size());
    const auto activations = [&](const SampleSet& set) {
        return activations_of(source.model, set, source.layer, source.pooling, source.batch_size);
    };
    std::vector<TcavVectors> vectors;
    for (size_t c = 0; c < run.concepts.size(); ++c) {
        vectors.push_back(
            tcav_vectors(activations(run.concepts[c]), activations(run.random[c]), run.options));
    }
    std::vector<TcavFinding> found;
    for (const int64_t k : run.classes) {
        int64_t samples = 0;
        const Tensor sensitivity = sensitivity_of_class(run, k, samples);
        for (size_t c = 0; c < run.concepts.size(); ++c) {
            TcavFinding f{.concept_name = run.concepts[c].name,
                          .class_name = source.data->class_names()[static_cast<size_t>(k)],
                          .class_number = k,
                          .samples = samples,
                          .disjoint = vectors[c].disjoint,
                          .result = tcav(sensitivity, vectors[c])};
            for (const ConceptVector& v : vectors[c].of_concept) {
                f.accuracy += v.accuracy / static_cast<double>(vectors[c].of_concept.size());
            }
            found.push_back(std::move(f));
        }
    }
    return found;
}

bool is_significant(const TcavRun& run, size_t tests, const TcavFinding& found) {
    return found.result.sign_test.p < run.level / static_cast<double>(std::max<size_t>(tests, 1));
}

void write_tcav(const TcavRun& run, const std::vector<TcavFinding>& found,
                const std::filesystem::path& folder) {
    make_output_folder(folder);
    nlohmann::json json = {{"model", run.source.model.spec},
                           {"data", run.source.data_name},
                           {"layer", run.source.layer},
                           {"method", run.method},
                           {"kind", list_cav_kinds()[static_cast<size_t>(run.options.cav.kind)]},
                           {"random_sets", run.options.runs},
                           {"level", run.level},
                           {"seed", run.options.cav.seed},
                           {"tests", nlohmann::json::array()}};
    for (const TcavFinding& f : found) {
        json["tests"].push_back(json_of(run, found.size(), f));
    }
    write_file_atomically(folder / "tcav.json", json.dump(2) + "\n");
    report::Page page(
        "Concepts and classes at layer " + run.source.layer,
        "TCAV: does a class's logit grow when activations move towards a concept, and more often than for "
        "random directions?");
    page.kicker("Backlight: concept sensitivity");
    page.fact("Model", run.source.model.spec).fact("Data", run.source.data_name);
    page.fact("Random sets", std::to_string(run.options.runs));
    for (const SampleSet& set : run.concepts) {
        add_concept(page, run, found, set.name);
    }
    char level[32], whole_level[32];
    std::snprintf(level, sizeof level, "%.2g", run.level / static_cast<double>(found.size()));
    std::snprintf(whole_level, sizeof whole_level, "%.2g", run.level);
    page.section("How to read this");
    page.text(
        "The score is the share of the class's samples for which the derivative of the logit along the "
        "concept is "
        "positive, the magnitude variant the positive part of these derivatives over their absolute sum; "
        "both are "
        "means over " +
        std::to_string(run.options.runs) +
        " vectors, one against each random set. p is two-sided, of Welch's test against vectors between "
        "random sets; "
        "a verdict needs p below " +
        level + ", which is " + std::string(whole_level) + " over " + std::to_string(found.size()) +
        " tests.");
    if (std::any_of(found.begin(), found.end(), [](const TcavFinding& f) { return !f.disjoint; })) {
        page.note(
            "There were too few samples for random sets without common samples: their scores are not "
            "independent and "
            "p is too small.");
    }
    page.write(folder / "report.html");
}

}  // namespace backlight
