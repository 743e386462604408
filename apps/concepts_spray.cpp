// backlight concepts spray: clusters of explanations.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>

#include "apps/checks.h"
#include "apps/concepts.h"
#include "core/error.h"
#include "experiments/spray_report.h"

namespace backlight::apps {
namespace {

struct Config {
    ConceptOptions common;
    std::string target, method = "epsilon_plus_flat", weight = "binary", sort = "eigengap";
    SprayOptions spray;
};

void print(const ClassClusters& found) {
    std::cout << found.name << ": " << found.samples.size() << " samples, " << found.result.clusters()
              << (found.result.clusters() == 1 ? " cluster of" : " clusters of");
    for (int64_t label = 0; label < found.result.clusters(); ++label) {
        std::cout << " " << found.result.size_of(label);
    }
    if (found.result.size_of(-1) > 0) {
        std::cout << " (" << found.result.size_of(-1) << " in none)";
    }
    std::cout << std::fixed << std::setprecision(3) << ", eigengap " << found.result.gap.gap << " behind "
              << found.result.gap.clusters << ", Fisher " << found.result.fisher << std::defaultfloat << "\n";
}

int run(const Config& c) {
    const ConceptInputs inputs = open_concept_inputs(c.common);
    BACKLIGHT_CHECK(!inputs.data->is_multi_label(), "spray: expected a data set with one label a sample");
    SprayRun run{.model = inputs.loaded.model,
                 .data = inputs.data,
                 .data_name = inputs.source->spec + ", " + c.common.split,
                 .method = c.method,
                 .layer = c.common.layer,
                 .context = inputs.context(c.common.seed),
                 .options = c.spray,
                 .batch_size = c.common.batch_size};
    run.options.seed = c.common.seed;
    run.options.weight = c.weight == "gaussian" ? EdgeWeight::gaussian : EdgeWeight::binary;
    const std::filesystem::path folder = c.common.out_dir;
    const std::vector<int64_t> classes = classes_of(c.target, inputs);
    std::vector<ClassClusters> found;
    for (const int64_t k : classes) {
        found.push_back(cluster_class(run, k));
        print(found.back());
        const auto n = static_cast<int64_t>(found.back().samples.size());
        if (c.spray.neighbours > n - 1) {
            std::cout << "    --neighbours " << n - 1 << ": the class has no more\n";
        }
        if (c.spray.tsne.perplexity > static_cast<double>(n - 1) / 3) {
            std::cout << "    --perplexity " << std::max(1.0, static_cast<double>(n - 1) / 3)
                      << ": a third of the others, the most that t-SNE takes\n";
        }
        write_clusters(run, found.back(),
                       c.target == "all" ? folder / ("class_" + std::to_string(k)) : folder);
    }
    if (c.target == "all") {
        std::cout << "by " << c.sort << ":";
        for (const size_t i : ranking(found, c.sort)) {
            std::cout << " " << found[i].name;
        }
        std::cout << "\n";
        write_ranking(run, std::move(found), c.sort, folder);
    }
    std::cout << "written: " << (folder / "report.html").string() << "\n";
    return 0;
}

}  // namespace

Run add_spray(CLI::App& concepts) {
    CLI::App* cmd = concepts.add_subcommand("spray", "Clusters of the explanations of a class (SpRAy)");
    auto c = std::make_shared<Config>();
    add_concept_options(*cmd, c->common, "Explain the output of this layer instead of the input", false);
    cmd->add_option("--class", c->target, "Class by name or number, or all: ranks the classes")->required();
    cmd->add_option("--method", c->method, "What explains the class's logit (backlight list methods)");
    cmd->add_option("--normalize", c->spray.normalize, "Each map by its sum, or max-abs")
        ->check(CLI::IsMember({"sum", "max-abs"}));
    cmd->add_option("--size", c->spray.size, "Average maps down to this size; 0: no")
        ->check(CLI::NonNegativeNumber);
    cmd->add_option("--neighbours", c->spray.neighbours, "Of the graph")->check(at_least_one());
    cmd->add_option("--weight", c->weight, "Of an edge of the graph: binary, or gaussian exp(-d^2)")
        ->check(CLI::IsMember({"binary", "gaussian"}));
    cmd->add_option("--eigenvectors", c->spray.eigenvectors, "How many")->check(CLI::Range(2, 1000));
    cmd->add_option("--clustering", c->spray.clustering, "kmeans or dbscan")
        ->check(CLI::IsMember({"kmeans", "dbscan"}));
    cmd->add_option("--clusters", c->spray.clusters, "Of k-means; 0: as the eigengap says")
        ->check(CLI::NonNegativeNumber);
    cmd->add_option("--radius", c->spray.radius, "Of dbscan, in the spectral embedding")
        ->check(CLI::PositiveNumber);
    cmd->add_option("--fewest", c->spray.fewest, "Points that make a core of dbscan")->check(at_least_one());
    cmd->add_option("--perplexity", c->spray.tsne.perplexity, "Of t-SNE")->check(CLI::PositiveNumber);
    cmd->add_option("--iterations", c->spray.tsne.iterations, "Of t-SNE")->check(CLI::NonNegativeNumber);
    cmd->add_option("--sort", c->sort, "Classes by eigengap or fisher")
        ->check(CLI::IsMember({"eigengap", "fisher"}));
    return [c] { return run(*c); };
}

}  // namespace backlight::apps
