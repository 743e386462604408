#include "experiments/explain_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/fingerprint.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "datasets/corrupt.h"
#include "experiments/explain_page.h"
#include "experiments/explanation_index.h"
#include "experiments/map_pictures.h"
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
                               {"percentile", config.heatmap.percentile}})),
          index_(config.out, config.identity) {}

    ExplainRunResult operator()() {
        build_methods();
        try {
            explain_samples();
        } catch (...) {
            if (result_.computed + result_.redrawn > 0) {
                index_.write(failed());
            }
            throw;
        }
        BACKLIGHT_CHECK(unread_.empty() || static_cast<int64_t>(unread_.size()) < config_.samples,
                        "explain: no sample can be read; the first: ", unread_.front().why);
        index_.write(failed());
        list_left_out();
        write_page();
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
                    keep(i, *sample, *index_.find(sample->name, method.text));
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
            method.found = index_.count(method.text);
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

    /// A map of other values under the same name, or of another target, is none of this sample's.
    [[nodiscard]] bool is_current(const ExplainSample& sample, const std::string& input,
                                  const std::string& method) const {
        const json* entry = index_.find(sample.name, method);
        return entry != nullptr && entry->value("input", "") == input &&
               (sample.target < 0 || entry->at("target") == sample.target);
    }

    void keep(int64_t index, const ExplainSample& sample, json& entry) {
        ++result_.kept;
        entry["sample"] = index;  // another one where pictures were added in front
        entry["label"] = sample.label;
        const bool drawn = entry.contains("drawn") && entry["drawn"] == drawn_ && entry.contains("picture") &&
                           std::filesystem::exists(config_.out / entry["picture"].get<std::string>());
        if (config_.pictures && entry.at("shape").size() == 4 && !drawn) {
            draw_entry(entry, index_.map_of(entry), sample.input);
            ++result_.redrawn;
            index_.write_at_times([this] { return failed(); });
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
            // A map of an earlier call is of other values.
            method.found -= index_.remove(sample.name, method.text) ? 1 : 0;
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
        method.found += index_.put(std::move(entry)) ? 1 : 0;
        ++result_.computed;
        index_.write_at_times([this] { return failed(); });
        return true;
    }

    [[nodiscard]] std::string class_name(int64_t number) const {
        const auto at = static_cast<size_t>(number);
        return at < model_.class_names.size() ? model_.class_names[at] : "class " + std::to_string(number);
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

    void write_page() const {
        ExplainPage page{.config = config_,
                         .pictures = pictures_,
                         .index = index_,
                         .names = names_,
                         .left_out = result_.left_out};
        for (const Method& method : methods_) {
            page.methods.emplace_back(method.text, method.explainer->start_name());
        }
        write_explain_page(page);
    }

    const LoadedModel& model_;
    const ExplainRunConfig& config_;
    const MapPictures pictures_;
    const json drawn_;  // what pictures depend on besides their maps
    std::vector<Method> methods_;
    ExplanationIndex index_;
    std::vector<std::string> names_;  // of the samples of this call; empty: it cannot be read
    std::vector<std::pair<std::string, std::string>> unbuilt_;  // method, why
    std::vector<Failure> unread_;
    ExplainRunResult result_;
    /// Of the first map, before there is anything to say of maps; two lines would write over each other.
    std::optional<report::PatientProgress> passes_{std::in_place, "passes"};
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

}  // namespace backlight
