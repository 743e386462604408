// backlight concepts crp: what the channels of a layer stand for.
#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/checks.h"
#include "apps/concepts.h"
#include "core/error.h"
#include "experiments/crp_report.h"
#include "experiments/run_report.h"

namespace backlight::apps {
namespace {

struct Config {
    ConceptOptions common;
    std::string composite = "epsilon_plus_flat", by = "relevance", pooling = "max", target = "predicted";
    std::vector<int64_t> channels, samples;
    int64_t keep = 40, limit = 0, top = 8, shown = 6;
};

int run(const Config& c) {
    const ConceptInputs inputs = open_concept_inputs(c.common);
    BACKLIGHT_CHECK(c.target == "predicted" || !inputs.data->is_multi_label(),
                    "--target label: expected a data set with one label a sample");
    const CrpRun run{.model = inputs.loaded.model,
                     .data = inputs.data,
                     .data_name = inputs.source->spec + ", " + c.common.split,
                     .layer = c.common.layer,
                     .composite = c.composite,
                     .context = inputs.context(c.common.seed),
                     .by_activation = c.by == "activation",
                     .pooling = c.pooling == "sum" ? PositionPooling::sum : PositionPooling::max,
                     .of_label = c.target == "label",
                     .keep = c.keep,
                     .limit = c.limit,
                     .channels = c.channels,
                     .shown_channels = c.top,
                     .shown_samples = c.shown,
                     .explained = c.samples,
                     .batch_size = c.common.batch_size};
    const ChannelSurvey survey = survey_channels(run);
    write_crp_report(run, survey, c.common.out_dir);
    const auto order = survey.ranking();
    std::cout << "layer " << run.layer << ": " << order.size() << " channels, " << survey.samples.size()
              << " samples\n";
    for (size_t i = 0; i < std::min<size_t>(order.size(), static_cast<size_t>(c.top)); ++i) {
        const auto& best = survey.references.of(order[i]);
        std::cout << "channel " << order[i] << ": "
                  << percent_text(survey.mean_abs[static_cast<size_t>(order[i])])
                  << " of |relevance|, best samples";
        for (size_t k = 0; k < std::min<size_t>(best.size(), 5); ++k) {
            std::cout << " " << best[k].sample;
        }
        std::cout << "\n";
    }
    std::cout << "written: " << (std::filesystem::path(c.common.out_dir) / "report.html").string() << "\n";
    return 0;
}

}  // namespace

Run add_crp(CLI::App& concepts) {
    CLI::App* cmd = concepts.add_subcommand("crp", "Relevance and reference samples of channels (CRP)");
    auto c = std::make_shared<Config>();
    add_concept_options(*cmd, c->common, "Layer whose channels are looked at", true);
    cmd->add_option("--composite", c->composite, "Rules of the backward pass (backlight list composites)");
    cmd->add_option("--channels", c->channels,
                    "Channels on the page, a,b,c; if not given the most relevant ones")
        ->delimiter(',');
    cmd->add_option("--samples", c->samples, "Samples whose decision is taken apart on the page, a,b,c")
        ->delimiter(',');
    cmd->add_option("--by", c->by, "Reference samples by relevance or activation")
        ->check(CLI::IsMember({"relevance", "activation"}));
    cmd->add_option("--pooling", c->pooling, "Positions of a channel: max or sum")
        ->check(CLI::IsMember({"max", "sum"}));
    cmd->add_option("--target", c->target, "Explained class: predicted or label")
        ->check(CLI::IsMember({"predicted", "label"}));
    cmd->add_option("--keep", c->keep, "Reference samples a channel in the files")->check(at_least_one());
    cmd->add_option("--limit", c->limit, "Look at so many samples, evenly spread; 0: all")
        ->check(CLI::NonNegativeNumber);
    cmd->add_option("--top", c->top, "Channels on the page and in the output")->check(at_least_one());
    cmd->add_option("--shown", c->shown, "Reference samples a channel on the page")->check(at_least_one());
    return [c] { return run(*c); };
}

}  // namespace backlight::apps
