#include "experiments/explain_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "datasets/corrupt.h"
#include "experiments/map_pictures.h"
#include "report/colormap.h"
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

/// Values and shape of an input, as the index has them.
std::string checksum_of(const Tensor& x) {
    std::vector<uint8_t> bytes(x.bytes());
    x.copy_to_host(bytes.data());
    return concat_text(x.dtype(), " ", x.shape(), " ", checksum(bytes));
}

class Run {
public:
    Run(const LoadedModel& model, const ExplainRunConfig& config)
        : model_(model),
          config_(config),
          pictures_(model, config.reduce, config.heatmap),
          drawn_(json::object({{"reduce", report::reduce_names()[static_cast<size_t>(config.reduce)]},
                               {"colormap", config.heatmap.colormap},
                               {"percentile", config.heatmap.percentile}})) {
        std::filesystem::create_directories(config.out);
        open_index();
    }

    ExplainRunResult operator()() {
        build_methods();
        try {
            explain_samples();
        } catch (...) {
            if (result_.computed + result_.redrawn > 0) {
                write_index();
            }
            throw;
        }
        BACKLIGHT_CHECK(unread_.empty() || static_cast<int64_t>(unread_.size()) < config_.samples,
                        "explain: no sample can be read; the first: ", unread_.front().why);
        write_index();
        list_left_out();
        write_pages();
        return result_;
    }

private:
    struct Failure {
        int64_t sample;
        std::string name, why;
    };
    struct Method {
        std::string text;
        std::unique_ptr<Explainer> explainer;
        int64_t found = 0;  // maps, those of earlier calls too
        std::vector<Failure> failures{};
        int64_t against = 0;  // samples that others could explain
        /// One bad sample says nothing against a method; one that works on none of the first few works on no
        /// other, and would be told of at each.
        [[nodiscard]] bool dropped() const {
            constexpr int64_t kTried = 3;
            return found == 0 && against >= kTried;
        }
    };

    void explain_samples() {
        const int64_t total = config_.samples * static_cast<int64_t>(methods_.size());
        report::PatientProgress progress("maps");
        int64_t done = 0;
        names_.assign(static_cast<size_t>(config_.samples), "");
        for (int64_t i = 0; i < config_.samples; ++i) {
            const std::optional<ExplainSample> sample = read(i);
            if (!sample) {
                done += static_cast<int64_t>(methods_.size());
                continue;
            }
            names_[static_cast<size_t>(i)] = sample->name;
            const std::string input = checksum_of(sample->input);
            std::optional<ExplainedForward> forward;
            bool explained = false;
            std::vector<Method*> failed;
            for (Method& method : methods_) {
                if (is_current(*sample, input, method.text)) {
                    keep(i, *sample, entry_of(sample->name, method.text));
                    explained = true;
                } else if (!method.dropped()) {
                    if (!forward) {
                        forward.emplace(*model_.model.net, sample->input, Recording::Keeps::values,
                                        reads_from());
                    }
                    if (explain(i, method, *sample, input, *forward)) {
                        explained = true;
                    } else {
                        failed.push_back(&method);
                    }
                }
                passes_.reset();
                progress.update(++done, total);
            }
            for (Method* method : failed) {
                method->against += explained ? 1 : 0;
            }
        }
    }

    /// Nothing where it cannot be read.
    [[nodiscard]] std::optional<ExplainSample> read(int64_t index) {
        try {
            return config_.sample(index);
        } catch (const CorruptSample& error) {
            unread_.push_back({.sample = index, .name = "", .why = error.what()});
            return std::nullopt;
        }
    }

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
            // What is read of it later, so that damage shows here.
            (void)entry.at("shape").size();
            (void)(entry.at("sum").get<double>() + entry.at("seconds").get<double>());
            (void)(entry.value("expected_sum", 0.0) + entry.value("coarse", false));
            (void)(entry.value("input", "") + entry.value("picture", ""));
            (void)entry.at("target").get<int64_t>();
            if (std::filesystem::exists(config_.out / entry.at("array").get<std::string>())) {
                known_[key(entry.at("name"), entry.at("method"))] = maps_.size();
                maps_.push_back(entry);
            }
        }
    }

    void build_methods() {
        ExplainContext context = config_.context;
        if (!context.progress) {
            context.progress = [this](int64_t done, int64_t of) {
                if (passes_) {
                    passes_->update(done, of);
                }
            };
        }
        for (const std::string& text : all() ? method_names() : config_.methods) {
            if (all() && text == "lrp") {  // another name of epsilon_plus
                continue;
            }
            try {
                methods_.push_back({.text = text, .explainer = build_method(text, context)});
            } catch (const Error& error) {
                if (!all()) {
                    throw;
                }
                unbuilt_.emplace_back(text, reason(text, error.what()));
            }
        }
        for (Method& method : methods_) {
            method.found = std::count_if(maps_.begin(), maps_.end(), [&](const json& entry) {
                return entry.at("method") == method.text;
            });
        }
    }

    /// Without the name of the method, which stands in front of it anyway.
    static std::string reason(const std::string& method, const std::string& why) {
        const std::string prefix = method + ": ";
        return why.starts_with(prefix) ? why.substr(prefix.size()) : why;
    }

    /// An error calls a sample by the number that keys its draws; readers know its name.
    static std::string by_name(std::string why, int64_t number, const std::string& name) {
        const std::string called = "sample " + std::to_string(number);
        const size_t at = why.find(called);
        return at == std::string::npos ? why : why.replace(at, called.size(), "sample " + name);
    }

    /// Names are those of files: none holds a zero.
    static std::string key(const std::string& sample, const std::string& method) {
        return sample + '\0' + method;
    }
    [[nodiscard]] bool is_there(const std::string& sample, const std::string& method) const {
        return known_.contains(key(sample, method));
    }
    [[nodiscard]] json& entry_of(const std::string& sample, const std::string& method) {
        return maps_[known_.at(key(sample, method))];
    }
    /// A map of other values under the same name, or of another target, is none of this sample's.
    [[nodiscard]] bool is_current(const ExplainSample& sample, const std::string& input,
                                  const std::string& method) {
        if (!is_there(sample.name, method)) {
            return false;
        }
        const json& entry = entry_of(sample.name, method);
        return entry.value("input", "") == input &&
               (sample.target < 0 || entry.at("target") == sample.target);
    }

    void keep(int64_t index, const ExplainSample& sample, json& entry) {
        ++result_.kept;
        entry["sample"] = index;  // another one where pictures were added in front
        entry["label"] = sample.label;
        const bool drawn = entry.contains("drawn") && entry["drawn"] == drawn_ && entry.contains("picture") &&
                           std::filesystem::exists(config_.out / entry["picture"].get<std::string>());
        if (config_.pictures && entry.at("shape").size() == 4 && !drawn) {
            draw_entry(entry, map_of(entry), sample.input);
            ++result_.redrawn;
            write_index_at_times();
        }
    }

    /// What an earlier call may have written.
    [[nodiscard]] Tensor map_of(const json& entry) const {
        const std::filesystem::path file = config_.out / entry.at("array").get<std::string>();
        try {
            return read_npy(file);
        } catch (const Error& error) {
            throw Error(std::string(error.what()) + "; remove it, and the same call makes it again");
        }
    }

    /// The picture beside an entry's array.
    void draw_entry(json& entry, const Tensor& map, const Tensor& x) {
        const std::filesystem::path picture = picture_beside(entry);
        write_png(config_.out / picture, pictures_.of_map(map, x, entry.value("coarse", false)));
        entry["picture"] = picture.generic_string();
        entry["drawn"] = drawn_;
    }
    static std::filesystem::path picture_beside(const json& entry) {
        return std::filesystem::path(entry.at("array").get<std::string>()).replace_extension(".png");
    }

    /// Whether there is a map now.
    bool explain(int64_t index, Method& method, const ExplainSample& sample, const std::string& input,
                 const ExplainedForward& forward) {
        const auto begin = std::chrono::steady_clock::now();
        const int64_t target = sample.target >= 0 ? sample.target : forward.predicted()[0];
        const auto before = known_.find(key(sample.name, method.text));
        const int64_t number = sample.number >= 0 ? sample.number : index;
        Explanation found;
        try {
            found = forward.explain_all(*method.explainer, {.targets = {target}, .numbers = {number}});
        } catch (const Error& error) {
            const std::string why = by_name(error.what(), number, sample.name);
            if (!all()) {
                throw Error(why);
            }
            method.failures.push_back(
                {.sample = index, .name = sample.name, .why = reason(method.text, why)});
            if (before != known_.end()) {  // that map is of other values
                maps_[before->second] = nullptr;
                known_.erase(before);
                --method.found;
            }
            return false;
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
                      {"input", input},
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
        if (!found.expected.empty() && std::isfinite(found.expected[0])) {
            entry["expected_sum"] = found.expected[0];
        }
        if (config_.pictures && map.rank() == 4) {
            draw_entry(entry, map, sample.input);
        } else {  // one of an earlier map would show another
            std::filesystem::remove(config_.out / picture_beside(entry));
        }
        if (before != known_.end()) {
            maps_[before->second] = std::move(entry);
        } else {
            known_[key(sample.name, method.text)] = maps_.size();
            maps_.push_back(std::move(entry));
            ++method.found;
        }
        ++result_.computed;
        write_index_at_times();
        return true;
    }

    [[nodiscard]] std::string class_name(int64_t number) const {
        const auto at = static_cast<size_t>(number);
        return at < model_.class_names.size() ? model_.class_names[at] : "class " + std::to_string(number);
    }

    void write_index_at_times() {
        if (seconds_since(written_) > 2) {
            write_index();
        }
    }

    void write_index() {
        json index = {{"explained", config_.identity}, {"maps", json::array()}, {"failed", failed()}};
        std::copy_if(maps_.begin(), maps_.end(), std::back_inserter(index["maps"]),
                     [](const json& entry) { return !entry.is_null(); });
        write_file_atomically(config_.out / "index.json", index.dump(1) + "\n");
        written_ = std::chrono::steady_clock::now();
    }

    /// What has no map, and why: a method, a method at a sample, or a sample.
    [[nodiscard]] json failed() const {
        json list = json::array();
        for (const auto& [method, why] : unbuilt_) {
            list.push_back({{"method", method}, {"why", why}});
        }
        for (const Method& method : methods_) {
            if (method.found == 0 && !method.failures.empty()) {
                list.push_back({{"method", method.text}, {"why", method.failures[0].why}});
                continue;
            }
            for (const Failure& failure : method.failures) {
                list.push_back({{"sample", failure.sample},
                                {"name", failure.name},
                                {"method", method.text},
                                {"why", failure.why}});
            }
        }
        for (const Failure& failure : unread_) {
            list.push_back({{"sample", failure.sample}, {"why", failure.why}});
        }
        return list;
    }

    /// The same in a line each.
    void list_left_out() {
        for (const json& entry : failed()) {
            const std::string why = entry.at("why").get<std::string>();
            if (!entry.contains("method")) {
                result_.left_out.push_back(why);
                continue;
            }
            std::string who = entry.at("method").get<std::string>();
            if (entry.contains("name")) {
                who += " at " + entry.at("name").get<std::string>();
            }
            result_.left_out.push_back(why.starts_with(who) ? why : who + ": " + why);
        }
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
        // One row a method: there are more of them than samples on a page. Where one failed on a sample its
        // place stays empty.
        std::vector<std::string> captions{"input"};
        for (const Method& method : methods_) {
            captions.push_back(method.text);
        }
        std::vector<std::vector<Tensor>> pictures(captions.size());
        for (int64_t i = 0; i < shown; ++i) {
            const std::string& name = names_[static_cast<size_t>(i)];  // empty: it cannot be read
            if (std::none_of(methods_.begin(), methods_.end(),
                             [&](const Method& method) { return is_there(name, method.text); })) {
                continue;
            }
            const ExplainSample sample = config_.sample(i);
            if (!MapPictures::is_drawable(sample.input) && sample.input.rank() != 4) {
                continue;
            }
            columns.push_back(sample.label.empty() ? sample.name : sample.label);
            for (auto& row : pictures) {
                row.resize(columns.size());
            }
            if (MapPictures::is_drawable(sample.input)) {
                pictures[0].back() = pictures_.of_sample(sample.input);
            }
            for (size_t m = 0; m < methods_.size(); ++m) {
                if (!is_there(name, methods_[m].text)) {
                    continue;
                }
                const json& entry = entry_of(name, methods_[m].text);
                const json& shape = entry.at("shape");
                if (shape.size() == 4 && shape[1] != 1 && shape[2] != 1) {  // one has nothing to show
                    pictures[m + 1].back() =
                        pictures_.of_map(map_of(entry), sample.input, entry.value("coarse", false));
                }
            }
        }
        for (size_t row = 0; row < pictures.size(); ++row) {
            if (std::any_of(pictures[row].begin(), pictures[row].end(),
                            [](const Tensor& picture) { return picture.defined(); })) {
                grid.rows.push_back(captions[row]);
                grid.pictures.push_back(pictures[row]);
            }
        }
        if (!grid.pictures.empty()) {
            grid.columns = columns;
            const Tensor sheet = sheet_of(grid);
            write_png(config_.out / "grid.png", sheet);
            const std::string colours =
                report::colormap(config_.heatmap.colormap).diverging()
                    ? "Red speaks for the class that is explained, blue against it, white (or the picture "
                      "itself) is zero. "
                    : "Colours are magnitudes, whatever their sign, from zero (or the picture itself). ";
            grid.caption =
                colours + "Each map has its own scale; its strongest colour is the " +
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
        } else {  // that of an earlier call does not belong to this page
            std::error_code none;
            std::filesystem::remove(config_.out / "grid.png", none);
        }
        page.section("Numbers").table(numbers());
        if (!result_.left_out.empty()) {
            page.section("Left out").list(result_.left_out);
        }
        page.write(config_.out / "report.html");
    }

    /// Means over the samples of this call, a row a method.
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
            for (const std::string& name : names_) {
                const auto at = known_.find(key(name, method.text));
                if (at == known_.end()) {
                    continue;
                }
                const json& entry = maps_[at->second];
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
    const MapPictures pictures_;
    const json drawn_;  // what pictures depend on besides their maps
    std::vector<Method> methods_;
    std::vector<json> maps_;               // entries of the index; null: taken out
    std::map<std::string, size_t> known_;  // where in maps_
    std::vector<std::string> names_;       // of the samples of this call; empty: it cannot be read
    std::vector<std::pair<std::string, std::string>> unbuilt_;  // method, why
    std::vector<Failure> unread_;
    ExplainRunResult result_;
    /// Of the first map, before there is anything to say of maps; two lines would write over each other.
    std::optional<report::PatientProgress> passes_{std::in_place, "passes"};
    std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

}  // namespace

ExplainRunResult explain_run(const LoadedModel& model, const ExplainRunConfig& config, std::ostream& out) {
    ExplainRunResult result = Run(model, config)();
    out << result.computed << " maps computed, " << result.kept << " kept";
    if (result.redrawn > 0) {
        out << ", pictures of " << result.redrawn << " drawn again";
    }
    out << "\n";
    for (const std::string& reason : result.left_out) {
        out << "left out: " << reason << "\n";
    }
    return result;
}

uint64_t fingerprint(std::span<const uint8_t> bytes) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint8_t byte : bytes) {
        hash = (hash ^ byte) * 0x100000001b3;
    }
    return hash;
}

std::string checksum(std::span<const uint8_t> bytes) {
    std::ostringstream text;
    text << std::hex << fingerprint(bytes);
    return text.str();
}

}  // namespace backlight
