#include "experiments/explain_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "datasets/corrupt.h"
#include "report/colormap.h"
#include "report/contact_sheet.h"
#include "report/page.h"
#include "report/plot.h"
#include "report/progress.h"

namespace backlight {
namespace {

using nlohmann::json;

/// "epsilon_plus(epsilon=0.25)" -> "epsilon_plus_epsilon_0.25": a file's name.
std::string slug(const std::string& method) {
    std::string name;
    for (const char c : method) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '.' || c == '-' || c == '_';
        if (plain) {
            name += c;
        } else if (!name.empty() && name.back() != '_') {
            name += '_';
        }
    }
    while (name.ends_with('_')) {
        name.pop_back();
    }
    if (name == method) {
        return name;
    }
    // What was left out, or cut, still tells two methods apart.
    std::ostringstream hash;
    hash << std::hex << (std::hash<std::string>{}(method)&0xffffff);
    constexpr size_t kLongest = 80;
    return name.substr(0, kLongest) + "-" + hash.str();
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class Run {
public:
    Run(const LoadedModel& model, const ExplainRunConfig& config, std::ostream& out)
        : model_(model), config_(config), out_(out) {
        std::filesystem::create_directories(config.out);
        open_index();
    }

    ExplainRunResult operator()() {
        build_methods();
        const int64_t total = config_.samples * static_cast<int64_t>(methods_.size());
        report::PatientProgress progress("maps");
        int64_t done = 0;
        for (int64_t i = 0; i < config_.samples; ++i) {
            std::optional<ExplainSample> sample;
            std::optional<ExplainedForward> forward;
            for (Method& method : methods_) {
                ++done;
                if (method.failed || is_there(i, method.text)) {
                    result_.kept += method.failed ? 0 : 1;
                    continue;
                }
                if (!forward) {
                    try {
                        sample = config_.sample(i);
                    } catch (const CorruptSample& error) {
                        result_.left_out.push_back(error.what());
                        break;
                    }
                    forward.emplace(*model_.model.net, sample->input, Recording::Keeps::values, reads_from());
                }
                explain(i, method, *sample, *forward);
                progress.update(done, total);
            }
        }
        write_index();
        write_pages();
        return result_;
    }

private:
    struct Method {
        std::string text;
        std::unique_ptr<Explainer> explainer;
        bool failed = false;
    };

    /// Where all methods agree; else everything is recorded.
    [[nodiscard]] std::string reads_from() const {
        const std::string from = methods_.front().explainer->reads_from({});
        const bool agree = std::all_of(methods_.begin(), methods_.end(), [&](const Method& method) {
            return method.explainer->reads_from({}) == from;
        });
        return agree ? from : "";
    }

    [[nodiscard]] bool all() const { return config_.methods == std::vector<std::string>{"all"}; }

    void open_index() {
        const std::filesystem::path file = config_.out / "index.json";
        index_ = {{"explained", config_.identity}, {"maps", json::array()}};
        if (!std::filesystem::exists(file)) {
            return;
        }
        try {
            const std::vector<uint8_t> bytes = read_file_bytes(file);
            read_index(json::parse(bytes.begin(), bytes.end()));
        } catch (const json::exception&) {
            throw_error(concat_text(file.string(), ": is damaged; remove it, or take another folder"));
        }
    }

    void read_index(const json& before) {
        BACKLIGHT_CHECK(before.value("explained", "") == config_.identity, config_.out.string(),
                        " holds explanations of something else: ", before.value("explained", "?"),
                        "; now: ", config_.identity);
        for (const json& entry : before.at("maps")) {
            (void)entry.at("shape").size();
            if (std::filesystem::exists(config_.out / entry.at("array").get<std::string>())) {
                known_[key(entry.at("sample"), entry.at("method"))] = index_["maps"].size();
                index_["maps"].push_back(entry);
            }
        }
    }

    void build_methods() {
        for (const std::string& text : all() ? method_names() : config_.methods) {
            if (all() && text == "lrp") {  // another name of epsilon_plus
                continue;
            }
            try {
                methods_.push_back({text, build_method(text, config_.context)});
            } catch (const Error& error) {
                leave_out(text, error);
            }
        }
    }

    void leave_out(const std::string& method, const Error& error) {
        if (!all()) {
            throw error;
        }
        const std::string why = error.what();
        result_.left_out.push_back(why.starts_with(method) ? why : method + ": " + why);
    }

    static std::string key(int64_t sample, const std::string& method) {
        return std::to_string(sample) + " " + method;
    }
    [[nodiscard]] bool is_there(int64_t sample, const std::string& method) const {
        return known_.contains(key(sample, method));
    }

    void explain(int64_t index, Method& method, const ExplainSample& sample,
                 const ExplainedForward& forward) {
        const auto begin = std::chrono::steady_clock::now();
        const int64_t target = sample.target >= 0 ? sample.target : forward.predicted()[0];
        Explanation found;
        try {
            found = forward.explain_all(*method.explainer, {.targets = {target}, .numbers = {index}});
        } catch (const Error& error) {
            leave_out(method.text, error);
            method.failed = true;
            return;
        }
        const double seconds = seconds_since(begin);
        const Tensor map = found.maps[0].data();
        const std::filesystem::path folder = sample.name;
        std::filesystem::create_directories(config_.out / folder);
        const std::filesystem::path array = folder / (slug(method.text) + ".npy");
        write_npy(config_.out / array, map);
        const double logit =
            forward.logits().data().to(DType::f64).to_vector<double>()[static_cast<size_t>(target)];
        const NoGrad off;
        json entry = {{"sample", index},
                      {"name", sample.name},
                      {"label", sample.label},
                      {"predicted", class_name(forward.predicted()[0])},
                      {"target", target},
                      {"target_name", class_name(target)},
                      {"method", method.text},
                      {"start", method.explainer->start_name()},
                      {"array", array.generic_string()},
                      {"shape", std::vector<int64_t>(map.shape().begin(), map.shape().end())},
                      {"sum", backlight::sum(Variable(map.to(DType::f64))).item()},
                      {"logit", logit},
                      {"seconds", seconds},
                      {"coarse", found.coarse},
                      {"notes", found.notes}};
        if (!found.expected.empty()) {
            entry["expected_sum"] = found.expected[0];
        }
        if (config_.pictures && map.rank() == 4) {
            const std::filesystem::path picture = folder / (slug(method.text) + ".png");
            write_png(config_.out / picture, draw(map, sample.input, found.coarse));
            entry["picture"] = picture.generic_string();
        }
        known_[key(index, method.text)] = index_["maps"].size();
        index_["maps"].push_back(std::move(entry));
        ++result_.computed;
        if (seconds_since(written_) > 2) {
            write_index();
        }
    }

    [[nodiscard]] std::string class_name(int64_t number) const {
        const auto at = static_cast<size_t>(number);
        return at < model_.class_names.size() ? model_.class_names[at] : "class " + std::to_string(number);
    }

    void write_index() {
        write_file_atomically(config_.out / "index.json", index_.dump(1) + "\n");
        written_ = std::chrono::steady_clock::now();
    }

    [[nodiscard]] static bool is_drawable(const Tensor& x) {
        return x.rank() == 4 && (x.dim(3) == 1 || x.dim(3) == 3);
    }

    /// The sample as a picture, in the range that the model states or its own.
    [[nodiscard]] Tensor picture_of(const Tensor& x) const {
        double low = amin(Variable(x.to(DType::f64))).item();
        double high = amax(Variable(x.to(DType::f64))).item();
        if (!model_.low.empty() && !model_.high.empty()) {
            low = *std::min_element(model_.low.begin(), model_.low.end());
            high = *std::max_element(model_.high.begin(), model_.high.end());
        }
        return report::picture(report::batch_item(x.to(DType::f32), 0), low, std::max(high, low + 1e-9));
    }

    /// A map, a coarse one over its picture; where that is positive everywhere it begins at its smallest
    /// value.
    [[nodiscard]] Tensor draw(const Tensor& map, const Tensor& x, bool coarse) const {
        const NoGrad off;
        Tensor relevance = report::batch_item(report::reduce_channels(map.to(DType::f32), config_.reduce), 0);
        if (!report::colormap(config_.heatmap.colormap)
                 .diverging()) {  // such a map has no colour for what speaks against
            relevance = abs(Variable(relevance)).data();
        }
        const int64_t factor = std::max<int64_t>(1, 128 / std::max<int64_t>(relevance.dim(0), 1));
        if (!is_drawable(x) || !coarse) {
            return report::enlarge(report::heatmap_image(relevance, config_.heatmap), factor);
        }
        const double least = amin(Variable(relevance)).item();
        const Tensor above = least > 0 ? (Variable(relevance) - least).data() : relevance;
        return report::enlarge(
            report::overlay(picture_of(x), above, {.alpha = 0.7, .heatmap = config_.heatmap}), factor);
    }

    void write_pages() {
        const NoGrad off;
        report::Page page("Explanations", config_.identity);
        page.kicker("Backlight");
        page.tile(std::to_string(config_.samples), "samples");
        page.tile(std::to_string(methods_.size()), "methods");
        report::FigureGrid grid{.columns = {},
                                .legend = report::color_bar({.colormap = config_.heatmap.colormap})};
        std::vector<std::string> columns;
        const int64_t shown = std::min(config_.shown, config_.samples);
        // One row a method: there are more of them than samples on a page.
        for (int64_t i = 0; i < shown; ++i) {
            if (std::none_of(methods_.begin(), methods_.end(),
                             [&](const Method& method) { return is_there(i, method.text); })) {
                continue;
            }
            const ExplainSample sample = config_.sample(i);
            if (!is_drawable(sample.input) && sample.input.rank() != 4) {
                continue;
            }
            columns.push_back(sample.label.empty() ? sample.name : sample.label);
            size_t row = 0;
            const auto put = [&](const std::string& caption, const Tensor& picture) {
                if (grid.pictures.size() <= row) {
                    grid.pictures.emplace_back();
                    grid.rows.push_back(caption);
                }
                grid.pictures[row].resize(columns.size());
                grid.pictures[row++].back() = picture;
            };
            if (is_drawable(sample.input)) {
                put("input", picture_of(sample.input));
            }
            for (const Method& method : methods_) {
                const auto found = known_.find(key(i, method.text));
                if (found == known_.end()) {
                    continue;
                }
                const json& entry = index_["maps"][found->second];
                const json& shape = entry.at("shape");
                if (shape.size() == 4 && shape[1] != 1 && shape[2] != 1) {  // one has nothing to show
                    put(method.text, draw(read_npy(config_.out / entry.at("array").get<std::string>()),
                                          sample.input, entry.value("coarse", false)));
                }
            }
        }
        if (!grid.pictures.empty()) {
            grid.columns = columns;
            for (auto& row : grid.pictures) {
                row.resize(columns.size());
            }
            const Tensor sheet = sheet_of(grid);
            write_png(config_.out / "grid.png", sheet);
            grid.caption =
                "Red speaks for the class that is explained, blue against it, white (or the picture itself) "
                "is zero. "
                "Each map has its own scale; its strongest colour is the " +
                std::to_string(config_.heatmap.percentile).substr(0, 4) +
                "th percentile of its magnitude. Maps of regions that are positive everywhere begin at their "
                "smallest value.";
            page.section("Maps");
            constexpr size_t kFew = 2;  // a column of pictures would leave the page empty
            if (columns.size() <= kFew) {
                page.figure({.image = sheet, .caption = grid.caption});
            } else {
                page.grid(grid);
            }
        }
        page.section("Numbers").table(numbers());
        if (!result_.left_out.empty()) {
            page.section("Left out").list(result_.left_out);
        }
        page.write(config_.out / "report.html");
    }

    /// The grid with a column a method, in bands of a width that a screen has.
    static Tensor sheet_of(const report::FigureGrid& grid) {
        constexpr size_t kBand = 8;
        std::vector<Tensor> bands;
        for (size_t first = 0; first < grid.rows.size(); first += kBand) {
            const size_t end = std::min(first + kBand, grid.rows.size());
            std::vector<std::vector<Tensor>> pictures(grid.columns.size());
            for (size_t sample = 0; sample < grid.columns.size(); ++sample) {
                for (size_t method = first; method < end; ++method) {
                    pictures[sample].push_back(grid.pictures[method][sample]);
                }
                pictures[sample].resize(std::min(kBand, grid.rows.size()));
            }
            std::vector<std::string> captions(grid.rows.begin() + static_cast<int64_t>(first),
                                              grid.rows.begin() + static_cast<int64_t>(end));
            captions.resize(std::min(kBand, grid.rows.size()));
            bands.push_back(report::grid(pictures, {.columns = captions, .rows = grid.columns, .cell = 224}));
        }
        return report::stacked(bands);
    }

    /// Means over the samples, a row a method.
    [[nodiscard]] report::Table numbers() const {
        report::Table table{
            .columns = {"method", "start", "maps", "mean sum", "should be", "mean |gap|", "seconds a map"},
            .caption = "Where a method is complete, its maps should sum to what stands beside."};
        for (const Method& method : methods_) {
            double total = 0;
            double expected = 0;
            double gap = 0;
            double seconds = 0;
            int64_t count = 0;
            int64_t complete = 0;
            for (const json& entry : index_["maps"]) {
                if (entry.at("method") != method.text) {
                    continue;
                }
                ++count;
                total += entry.at("sum").get<double>();
                seconds += entry.at("seconds").get<double>();
                if (entry.contains("expected_sum")) {
                    ++complete;
                    expected += entry.at("expected_sum").get<double>();
                    gap += std::abs(entry.at("expected_sum").get<double>() - entry.at("sum").get<double>());
                }
            }
            if (count == 0) {
                continue;
            }
            const auto text = [](double value, int64_t n) {
                std::ostringstream stream;
                stream << std::setprecision(4) << value / static_cast<double>(n);
                return n > 0 ? stream.str() : std::string("–");
            };
            table.rows.push_back({method.text, method.explainer->start_name(), std::to_string(count),
                                  text(total, count), text(expected, complete), text(gap, complete),
                                  text(seconds, count)});
        }
        return table;
    }

    const LoadedModel& model_;
    const ExplainRunConfig& config_;
    std::ostream& out_;
    std::vector<Method> methods_;
    json index_;
    std::map<std::string, size_t> known_;  // where in the index
    ExplainRunResult result_;
    std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

}  // namespace

ExplainRunResult explain_run(const LoadedModel& model, const ExplainRunConfig& config, std::ostream& out) {
    ExplainRunResult result = Run(model, config, out)();
    out << result.computed << " maps computed, " << result.kept << " kept\n";
    for (const std::string& reason : result.left_out) {
        out << "left out: " << reason << "\n";
    }
    return result;
}

}  // namespace backlight
