// backlight concepts cav and tcav: directions that concepts lie in, and how classes depend on them.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>

#include "apps/checks.h"
#include "apps/concepts.h"
#include "core/error.h"
#include "experiments/run_report.h"
#include "experiments/tcav_report.h"

namespace backlight::apps {
namespace {

/// Options that both commands take.
struct SetOptions {
    ConceptOptions common;
    std::string random = "rest", kind = "logistic", pooling = "average", data, split;
    int64_t size = 0;
    bool no_intercept = false;
    CavOptions cav;
};

void add_set_options(CLI::App& cmd, SetOptions& o) {
    add_concept_options(cmd, o.common, "Layer whose activations are read", true);
    cmd.add_option(
        "--random", o.random,
        "Samples without the concept, or to draw random sets from: as --concept, or rest: all other samples");
    cmd.add_option("--concept-data", o.data, "Data set of --concept and --random; if not given --data");
    cmd.add_option("--concept-split", o.split, "Part of it; if not given --split");
    cmd.add_option("--size", o.size, "At most so many samples of a concept, drawn by seed; 0: all")
        ->check(CLI::NonNegativeNumber);
    cmd.add_option("--kind", o.kind, "logistic, ridge, svm (without intercept) or pattern")
        ->check(CLI::IsMember(list_cav_kinds()));
    cmd.add_option("--l2", o.cav.l2, "Weight of the classifier's penalty")->check(CLI::NonNegativeNumber);
    cmd.add_flag("--no-intercept", o.no_intercept, "Logistic and ridge without intercept");
    cmd.add_option("--test-share", o.cav.test_share, "Held-out share of the samples")
        ->check(CLI::Range(0.01, 0.9));
    cmd.add_option("--pooling", o.pooling, "Positions of the layer: average, or positions (each counts)")
        ->check(CLI::IsMember({"average", "positions"}));
}

struct Sets {
    ConceptInputs inputs;
    std::unique_ptr<DataSource> other;  // of --concept-data
    std::shared_ptr<const Dataset> data;
};

Sets open_sets(const SetOptions& o) {
    Sets sets{.inputs = open_concept_inputs(o.common)};
    const std::string split = o.split.empty() ? o.common.split : o.split;
    if (!o.data.empty()) {
        sets.other = load_data(o.data);
        sets.data = sets.other->split(split);
    } else {
        sets.data = o.split.empty() ? sets.inputs.data : sets.inputs.source->split(split);
    }
    return sets;
}

CavOptions cav_options(const SetOptions& o) {
    CavOptions cav = o.cav;
    cav.kind = parse_cav_kind(o.kind);
    cav.intercept = !o.no_intercept;
    cav.seed = o.common.seed;
    return cav;
}

ConceptSource source_of(const SetOptions& o, const Sets& sets) {
    return {.model = sets.inputs.loaded.model,
            .data = sets.inputs.data,
            .data_name = sets.inputs.source->spec + ", " + o.common.split,
            .layer = o.common.layer,
            .pooling = o.pooling == "average" ? ActivationPooling::average : ActivationPooling::positions,
            .batch_size = o.common.batch_size};
}

SampleSet random_set(const SetOptions& o, const Sets& sets, const SampleSet& concept_set) {
    return o.random == "rest" ? all_but(concept_set, sets.data) : parse_sample_set(o.random, sets.data);
}

}  // namespace

Run add_cav(CLI::App& concepts) {
    struct Config {
        SetOptions set;
        std::string concept_text;
    };
    CLI::App* cmd = concepts.add_subcommand("cav", "Learn the direction of a concept (CAV)");
    auto c = std::make_shared<Config>();
    cmd->add_option("--concept", c->concept_text,
                    "Folder of pictures, class=NAME or COLUMN=VALUE of the data")
        ->required();
    add_set_options(*cmd, c->set);
    return [c] {
        const Sets sets = open_sets(c->set);
        const SampleSet with = parse_sample_set(c->concept_text, sets.data);
        const SampleSet without = random_set(c->set, sets, with);
        const ConceptSource source = source_of(c->set, sets);
        const CavOptions options = cav_options(c->set);
        const uint64_t seed = c->set.common.seed;
        const CavFinding found = find_concept(source, with.limited(c->set.size, seed), without, options);
        write_cav(source, found, options, c->set.common.out_dir);
        std::cout << "concept " << found.name << " at layer " << source.layer << ": " << found.with
                  << " samples with, " << found.without << " without it\n"
                  << "held-out accuracy " << percent_text(found.vector.accuracy) << " on "
                  << found.vector.tested_on << " samples (mean of both sides)\n"
                  << "written: " << (std::filesystem::path(c->set.common.out_dir) / "report.html").string()
                  << "\n";
        return 0;
    };
}

Run add_tcav(CLI::App& concepts) {
    struct Config {
        SetOptions set;
        std::vector<std::string> concepts;
        std::string target = "all", method = "gradient";
        int64_t runs = 10, set_size = 0, samples = 0;
        double level = 0.05;
    };
    CLI::App* cmd =
        concepts.add_subcommand("tcav", "Sensitivity of classes to concepts, tested against chance (TCAV)");
    auto c = std::make_shared<Config>();
    cmd->add_option("--concept", c->concepts,
                    "Folder of pictures, class=NAME or COLUMN=VALUE of the data; may be given several times")
        ->required();
    add_set_options(*cmd, c->set);
    cmd->add_option("--class", c->target, "Explained class by name or number, or all");
    cmd->add_option("--method", c->method,
                    "gradient, or a method whose relevance over activation takes its place");
    cmd->add_option("--runs", c->runs, "Random sets, at least 10")->check(CLI::Range(10, 100'000));
    cmd->add_option("--set-size", c->set_size, "Samples of a random set; 0: as the concept has")
        ->check(CLI::NonNegativeNumber);
    cmd->add_option("--samples", c->samples, "At most so many samples of a class; 0: all")
        ->check(CLI::NonNegativeNumber);
    cmd->add_option("--level", c->level, "Of significance, for all tests together")
        ->check(CLI::Range(0.0, 1.0));
    return [c] {
        const Sets sets = open_sets(c->set);
        TcavRun run{.source = source_of(c->set, sets),
                    .context = sets.inputs.context(c->set.common.seed),
                    .method = c->method,
                    .classes = classes_of(c->target, sets.inputs),
                    .samples = c->samples,
                    .options = {.cav = cav_options(c->set), .runs = c->runs, .set_size = c->set_size},
                    .level = c->level};
        for (const std::string& text : c->concepts) {
            const SampleSet all = parse_sample_set(text, sets.data);
            run.concepts.push_back(all.limited(c->set.size, c->set.common.seed));
            run.random.push_back(random_set(c->set, sets, all));
        }
        const auto found = run_tcav(run);
        write_tcav(run, found, c->set.common.out_dir);
        for (const TcavFinding& f : found) {
            const TcavResult& r = f.result;
            std::cout << f.concept_name << " -> " << f.class_name << std::fixed << std::setprecision(3)
                      << ": score " << r.mean_concept.sign << ", random " << r.mean_random.sign
                      << std::defaultfloat << ", p " << r.sign_test.p
                      << (is_significant(run, found.size(), f) ? " *" : "") << "\n";
        }
        std::cout << "* significant at " << c->level << " over " << found.size() << " tests\n"
                  << "written: " << (std::filesystem::path(c->set.common.out_dir) / "report.html").string()
                  << "\n";
        return 0;
    };
}

}  // namespace backlight::apps
