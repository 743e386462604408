// Concept vectors over a data set; see experiments/tcav_report.h.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/npy.h"
#include "experiments/run_report.h"
#include "experiments/tcav_report.h"
#include "report/page.h"

namespace backlight {
namespace {

constexpr size_t kShown = 8;

/// Samples by their projection, largest (or smallest) first.
void add_extremes(report::Page& page, const ConceptSource& source, const CavFinding& found, bool largest) {
    std::vector<int64_t> order(found.projection.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        const double u = found.projection[static_cast<size_t>(a)],
                     v = found.projection[static_cast<size_t>(b)];
        return largest ? u > v : u < v;
    });
    order.resize(std::min(order.size(), kShown));
    report::FigureGrid grid{.caption = largest ? "Samples farthest on the concept's side of the border."
                                               : "Samples farthest on the other side."};
    grid.pictures.resize(1);
    report::Table table{.columns = {"sample", "distance from the border"}};
    for (const int64_t i : order) {
        const double distance = found.projection[static_cast<size_t>(i)];
        grid.columns.push_back("no. " + std::to_string(i));
        grid.pictures[0].push_back(sample_picture(*source.data, i));
        table.rows.push_back({std::to_string(i), std::to_string(distance)});
    }
    if (grid.pictures[0][0].defined()) {
        page.grid(grid);
    } else {
        table.caption = grid.caption;
        page.table(table);
    }
}

}  // namespace

CavFinding find_concept(const ConceptSource& source, const SampleSet& concept_set, const SampleSet& random,
                        const CavOptions& options) {
    const auto activations = [&](const SampleSet& set, ActivationPooling pooling) {
        return activations_of(source.model, set, source.layer, pooling, source.batch_size);
    };
    CavFinding found{.name = concept_set.name, .with = concept_set.size(), .without = random.size()};
    found.vector = concept_vector(activations(concept_set, source.pooling),
                                  activations(random, source.pooling), options);
    const auto all =
        activations(parse_sample_set("all", source.data), ActivationPooling::average).to_vector<double>();
    const auto& v = found.vector.direction;
    for (size_t i = 0; i < all.size(); i += v.size()) {
        found.projection.push_back(std::inner_product(
            v.begin(), v.end(), all.begin() + static_cast<int64_t>(i), found.vector.offset));
    }
    return found;
}

void write_cav(const ConceptSource& source, const CavFinding& found, const CavOptions& options,
               const std::filesystem::path& folder) {
    make_output_folder(folder);
    const ConceptVector& v = found.vector;
    write_npy(folder / "cav.npy", Tensor::from(v.direction, {static_cast<int64_t>(v.direction.size())}));
    write_npy(folder / "projections.npy",
              Tensor::from(found.projection, {static_cast<int64_t>(found.projection.size())}));
    const std::string kind = list_cav_kinds()[static_cast<size_t>(options.kind)];
    const nlohmann::json json = {
        {"concept", found.name},
        {"model", source.model.spec},
        {"data", source.data_name},
        {"layer", source.layer},
        {"pooling", source.pooling == ActivationPooling::average ? "average" : "positions"},
        {"kind", kind},
        {"l2", options.l2},
        {"seed", options.seed},
        {"samples_with", found.with},
        {"samples_without", found.without},
        {"trained_on", v.trained_on},
        {"tested_on", v.tested_on},
        {"accuracy", v.accuracy},
        {"offset", v.offset},
        {"direction", v.direction}};
    write_file_atomically(folder / "cav.json", json.dump(2) + "\n");
    report::Page page(
        "The concept " + found.name + " at layer " + source.layer,
        "A direction in the layer's activations that tells samples with the concept from others.");
    page.kicker("Backlight: concept vector");
    page.fact("Model", source.model.spec).fact("Data", source.data_name).fact("Classifier", kind);
    page.tile(percent_text(v.accuracy), "right on held-out samples",
              std::to_string(v.tested_on) + " samples");
    page.tile(std::to_string(found.with), "samples with the concept");
    page.tile(std::to_string(found.without), "samples without it");
    page.section("Samples of the data along the direction");
    page.text(
        "Every sample of the data by the projection of its activations, averaged over positions. Where the "
        "first row "
        "does not show the concept, the vector stands for something else.");
    add_extremes(page, source, found, true);
    add_extremes(page, source, found, false);
    page.write(folder / "report.html");
}

}  // namespace backlight
