#include "experiments/spray_report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/npy.h"
#include "experiments/concept_data.h"
#include "experiments/run_report.h"
#include "report/heatmap.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/reduce.h"

namespace backlight {
namespace {

constexpr int64_t kThumbnails = 250;  // on the map of a class; the others are dots
constexpr int64_t kShown = 8;         // samples of a cluster

std::string rounded(double value, int digits = 3) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << value;
    return out.str();
}

Tensor points_tensor(const Points& points) {
    return Tensor::from(points.values, {points.count, points.width});
}

/// The map of member i as (H,W); undefined for vectors.
Tensor map_of(const ClassClusters& found, int64_t i) {
    return found.attributions.rank() == 3
               ? report::batch_item(found.attributions
                                        .reshape({found.attributions.dim(0), found.attributions.dim(1),
                                                  found.attributions.dim(2), 1})
                                        .to(DType::f32),
                                    i)
               : Tensor();
}

/// The sample under its map, or the map alone; undefined for vectors.
Tensor explained_picture(const SprayRun& run, const ClassClusters& found, int64_t i) {
    const Tensor map = map_of(found, i);
    if (!map.defined()) {
        return {};
    }
    const Tensor picture = sample_picture(*run.data, found.samples[static_cast<size_t>(i)]);
    return picture.defined() ? report::overlay(picture, map, {.desaturate = 0.6})
                             : report::heatmap_image(map);
}

std::string cluster_name(int64_t label) {
    return label < 0 ? "no cluster" : "cluster " + std::to_string(label);
}

/// Facts of the samples that are yes or no ("marked").
std::vector<std::string> binary_columns(const Dataset& data) {
    std::vector<std::string> names;
    for (const std::string& name : data.column_names()) {
        const auto& values = data.column(name);
        if (std::all_of(values.begin(), values.end(), [](int64_t v) { return v == 0 || v == 1; })) {
            names.push_back(name);
        }
    }
    return names;
}

double column_share(const SprayRun& run, const ClassClusters& found, const std::string& column,
                    int64_t label) {
    const auto& values = run.data->column(column);
    int64_t yes = 0;
    for (size_t i = 0; i < found.samples.size(); ++i) {
        yes += found.result.labels[i] == label ? values[static_cast<size_t>(found.samples[i])] : 0;
    }
    return static_cast<double>(yes) / static_cast<double>(std::max<int64_t>(found.result.size_of(label), 1));
}

std::string scatter(const SprayRun& run, const ClassClusters& found) {
    report::ScatterPlot plot;
    for (int64_t label = 0; label < found.result.clusters(); ++label) {
        plot.groups.push_back(cluster_name(label));
    }
    const auto n = static_cast<int64_t>(found.samples.size());
    for (int64_t i = 0; i < n; ++i) {
        const auto at = found.result.coordinates.row(i);
        plot.x.push_back(at[0]);
        plot.y.push_back(at[1]);
        plot.group.push_back(found.result.labels[static_cast<size_t>(i)]);
        const bool pictured = n <= kThumbnails || i * kThumbnails / n != (i + 1) * kThumbnails / n;
        plot.thumbnails.push_back(pictured ? explained_picture(run, found, i) : Tensor());
        if (plot.thumbnails.back().defined()) {
            plot.thumbnails.back() = shrunk(plot.thumbnails.back(), 32);
        }
        plot.tooltips.push_back("sample " + std::to_string(found.samples[static_cast<size_t>(i)]) + ", " +
                                cluster_name(plot.group.back()));
    }
    return report::scatter_plot(plot);
}

void add_cluster(report::Page& page, const SprayRun& run, const ClassClusters& found, int64_t label) {
    const std::vector<int64_t> members = found.result.members(label);
    report::FigureGrid grid{
        .columns = {"mean"}, .rows = {"sample", "relevance"}, .legend = report::color_bar({})};
    std::vector<Tensor> samples{Tensor()}, maps;
    if (found.attributions.rank() == 3) {
        const NoGrad off;
        const Tensor index = Tensor::from(members, {static_cast<int64_t>(members.size())});
        const Variable mean_map = mean(gather_rows(Variable(found.attributions), index), {0});
        maps.push_back(report::heatmap_image(mean_map.data().to(DType::f32)));
    }
    for (size_t k = 0; k < std::min<size_t>(members.size(), kShown); ++k) {
        const int64_t sample = found.samples[static_cast<size_t>(members[k])];
        grid.columns.push_back(std::to_string(sample));
        samples.push_back(sample_picture(*run.data, sample));
        maps.push_back(explained_picture(run, found, members[k]));
    }
    page.subsection("Cluster " + std::to_string(label) + ": " + std::to_string(members.size()) + " samples");
    if (maps.size() > 1 && maps[1].defined()) {
        grid.pictures = {samples, maps};
        grid.caption = "The mean of the cluster's maps, and the " + std::to_string(grid.columns.size() - 1) +
                       " samples nearest to it, by their number. Red speaks for " + found.name +
                       ", blue against it.";
        page.grid(grid);
    }
}

std::string eigenvalue_plot(const ClassClusters& found) {
    report::Series series{.name = "eigenvalue", .markers = true};
    for (size_t i = 0; i < found.result.eigenvalues.size(); ++i) {
        series.x.push_back(static_cast<double>(i + 1));
        series.y.push_back(std::max(0.0, found.result.eigenvalues[i]));
    }
    return report::line_chart({.x_label = "number",
                               .y_label = "eigenvalue of the Laplacian",
                               .series = {series},
                               .y_min = 0.0,
                               .height = 280});
}

nlohmann::json options_json(const SprayRun& run) {
    const SprayOptions& o = run.options;
    nlohmann::json json = {
        {"normalize", o.normalize},        {"size", o.size},
        {"neighbours", o.neighbours},      {"weight", o.weight == EdgeWeight::binary ? "binary" : "gaussian"},
        {"eigenvectors", o.eigenvectors},  {"clustering", o.clustering},
        {"perplexity", o.tsne.perplexity}, {"seed", o.seed}};
    if (o.clustering == "dbscan") {
        json["radius"] = o.radius;
        json["fewest"] = o.fewest;
    }
    return json;
}

nlohmann::json summary(const SprayRun& run, const ClassClusters& found) {
    nlohmann::json clusters = nlohmann::json::array();
    for (int64_t label = 0; label < found.result.clusters(); ++label) {
        nlohmann::json members = nlohmann::json::array();
        for (const int64_t i : found.result.members(label)) {
            members.push_back(found.samples[static_cast<size_t>(i)]);
        }
        clusters.push_back({{"size", found.result.size_of(label)},
                            {"predicted", found.share_right(label)},
                            {"samples", members}});
        for (const std::string& column : binary_columns(*run.data)) {
            clusters.back()[column] = column_share(run, found, column, label);
        }
    }
    return {{"class", found.class_number},
            {"name", found.name},
            {"samples", found.samples.size()},
            {"eigengap", {{"clusters", found.result.gap.clusters}, {"gap", found.result.gap.gap}}},
            {"fisher", found.result.fisher},
            {"clusters", clusters}};
}

void add_facts(report::Page& page, const SprayRun& run) {
    page.kicker("Backlight: spectral relevance analysis");
    page.fact("Model", run.model.spec).fact("Data", run.data_name);
    page.fact("Explained", run.method + (run.layer.empty() ? " at the input" : " at layer " + run.layer));
}

}  // namespace

void write_clusters(const SprayRun& run, const ClassClusters& found, const std::filesystem::path& folder) {
    make_output_folder(folder);
    const SprayResult& r = found.result;
    const auto n = static_cast<int64_t>(found.samples.size());
    write_npy(folder / "attributions.npy", found.attributions);
    write_npy(folder / "embedding.npy", points_tensor(r.embedding));
    write_npy(folder / "eigenvalues.npy",
              Tensor::from(r.eigenvalues, {static_cast<int64_t>(r.eigenvalues.size())}));
    write_npy(folder / "labels.npy", Tensor::from(r.labels, {n}));
    write_npy(folder / "coordinates.npy", points_tensor(r.coordinates));
    write_npy(folder / "samples.npy", Tensor::from(found.samples, {n}));
    nlohmann::json index = summary(run, found);
    index["method"] = run.method;
    index["layer"] = run.layer;
    index["options"] = options_json(run);
    index["files"] = {"attributions.npy", "embedding.npy",   "eigenvalues.npy",
                      "labels.npy",       "coordinates.npy", "samples.npy"};
    write_file_atomically(folder / "index.json", index.dump(2) + "\n");

    report::Page page(
        "How the network decides for " + found.name,
        "The explanations of all samples of the class, put into groups that resemble each other. A small "
        "group that looks at something else than the rest deserves a look.");
    add_facts(page, run);
    page.tile(std::to_string(n), "samples").tile(std::to_string(r.clusters()), "clusters");
    page.tile(rounded(r.gap.gap), "eigengap", "behind eigenvalue " + std::to_string(r.gap.clusters));
    page.tile(rounded(r.fisher), "Fisher's score", "scatter between over within");
    page.section("All samples");
    page.figure(
        {.svg = scatter(run, found),
         .caption =
             "Neighbours in this map (t-SNE of the spectral embedding) have similar explanations. The frame "
             "is the cluster's colour; distances far apart mean nothing."});
    page.section("Clusters");
    report::Table table{.columns = {"cluster", "samples", "taken for the class"}};
    const auto columns = binary_columns(*run.data);
    table.columns.insert(table.columns.end(), columns.begin(), columns.end());
    for (int64_t label = r.size_of(-1) > 0 ? -1 : 0; label < r.clusters(); ++label) {
        table.rows.push_back({label < 0 ? "none" : std::to_string(label), std::to_string(r.size_of(label)),
                              percent_text(found.share_right(label))});
        for (const std::string& column : columns) {
            table.rows.back().push_back(percent_text(column_share(run, found, column, label)));
        }
    }
    page.table(table);
    for (int64_t label = 0; label < r.clusters(); ++label) {
        add_cluster(page, run, found, label);
    }
    page.section("Eigenvalues");
    page.figure(
        {.svg = eigenvalue_plot(found),
         .caption =
             "Eigenvalues near 0 count the parts that the graph of neighbours falls into; the largest gap "
             "lies behind number " +
             std::to_string(r.gap.clusters) + "."});
    page.write(folder / "report.html");
}

void write_ranking(const SprayRun& run, std::vector<ClassClusters> found, const std::string& sort,
                   const std::filesystem::path& folder) {
    make_output_folder(folder);
    nlohmann::json json = {{"sort", sort},
                           {"method", run.method},
                           {"layer", run.layer},
                           {"options", options_json(run)},
                           {"classes", nlohmann::json::array()}};
    report::Page page(
        "Classes by how their explanations fall apart",
        "For each class the graph of explanations that resemble each other. A clear gap in its spectrum says "
        "that there is more than one way to be recognised.");
    add_facts(page, run);
    report::Table table{
        .columns = {"class", "samples", "clusters", "eigengap", "Fisher's score", "second eigenvalue"},
        .caption = "Sorted by " + std::string(sort == "fisher" ? "Fisher's score" : "the eigengap") +
                   ". Each class has a folder of its own."};
    report::LineChart chart{.x_label = "number", .y_label = "eigenvalue of the Laplacian", .y_min = 0.0};
    for (const size_t i : ranking(found, sort)) {
        const ClassClusters& one = found[i];
        const SprayResult& r = one.result;
        json["classes"].push_back(summary(run, one));
        table.rows.push_back({one.name, std::to_string(one.samples.size()), std::to_string(r.clusters()),
                              rounded(r.gap.gap), rounded(r.fisher),
                              rounded(std::max(0.0, r.eigenvalues[1]))});
        if (chart.series.size() < 8) {
            chart.series.push_back({.name = one.name, .markers = true});
            for (size_t k = 0; k < r.eigenvalues.size(); ++k) {
                chart.series.back().x.push_back(static_cast<double>(k + 1));
                chart.series.back().y.push_back(std::max(0.0, r.eigenvalues[k]));
            }
        }
    }
    page.section("Classes").table(table);
    page.section("Spectra").figure({.svg = report::line_chart(chart),
                                    .caption = "Eigenvalues of the " + std::to_string(chart.series.size()) +
                                               " classes that stand first."});
    auto first = ranking(found, sort);
    first.resize(std::min<size_t>(first.size(), 3));
    for (const size_t i : first) {
        page.section("Class " + found[i].name);
        page.figure({.svg = scatter(run, found[i]), .caption = "All samples of " + found[i].name + "."});
    }
    write_file_atomically(folder / "ranking.json", json.dump(2) + "\n");
    page.write(folder / "report.html");
}

}  // namespace backlight
