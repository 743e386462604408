// Models with their weights, and what weight files state about them.
#include <nlohmann/json.hpp>

#include "core/io/safetensors.h"
#include "core/options.h"
#include "layers/state.h"
#include "train/trainer.h"

namespace backlight {
namespace {

constexpr int64_t kImageNetClasses = 1000;

std::vector<double> numbers(const std::map<std::string, std::string>& metadata, const std::string& key) {
    const auto entry = metadata.find(key);
    if (entry == metadata.end()) {
        return {};
    }
    const nlohmann::json parsed = nlohmann::json::parse(entry->second, nullptr, false);
    std::vector<double> values;
    for (const auto& item : parsed.is_array() ? parsed : nlohmann::json::array()) {
        if (item.is_number()) {
            values.push_back(item.get<double>());
        }
    }
    return values;
}

/// Whether the text of a model says how many outputs it has.
bool states_classes(const std::string& spec) {
    const auto values = parse_spec(spec).values;
    return values.contains("classes") || values.contains("out");
}

/// What pictures need, from the file; of a file that says nothing, as those of other frameworks, the
/// architecture's habit, with the range that black and white have then.
void read_input_needs(LoadedModel& loaded, const std::map<std::string, std::string>& metadata) {
    Model& model = loaded.model;
    loaded.states_input = metadata.contains("backlight.mean") || metadata.contains("backlight.std");
    loaded.low = numbers(metadata, "backlight.input_low");
    loaded.high = numbers(metadata, "backlight.input_high");
    if (loaded.states_input) {
        model.mean = numbers(metadata, "backlight.mean");
        model.std = numbers(metadata, "backlight.std");
        const std::vector<double> resize = numbers(metadata, "backlight.resize");
        constexpr double kLargest = 1 << 16;
        const bool known = resize.size() == 1 && resize[0] >= 1 && resize[0] <= kLargest;
        model.shorter_side = known ? static_cast<int64_t>(resize[0]) : 0;
    } else if (loaded.low.empty()) {
        for (size_t c = 0; c < model.mean.size(); ++c) {
            loaded.low.push_back(-model.mean[c] / model.std[c]);
            loaded.high.push_back((1 - model.mean[c]) / model.std[c]);
        }
    }
}

}  // namespace

std::map<std::string, std::string> weight_metadata(const Model& model, const DataSource& source) {
    const Dataset& data = *source.train;
    const InputRange range = data.input_range();
    std::map<std::string, std::string> metadata{
        {"format", "pt"},
        {"backlight.model", model.spec},
        {"backlight.classes", nlohmann::json(data.class_names()).dump()},
        {"backlight.input_low", nlohmann::json(range.low).dump()},
        {"backlight.input_high", nlohmann::json(range.high).dump()},
        {"backlight.multi_label", data.is_multi_label() ? "true" : "false"},
        {"backlight.mean", nlohmann::json(data.normalization().mean).dump()},
        {"backlight.std", nlohmann::json(data.normalization().std).dump()},
        {"backlight.sample",
         nlohmann::json(std::vector<int64_t>(data.sample_shape().begin(), data.sample_shape().end()))
             .dump()}};
    if (source.shorter_side > 0) {
        metadata["backlight.resize"] = nlohmann::json(std::vector{source.shorter_side}).dump();
    }
    if (!model.pruned.empty()) {
        metadata["backlight.pruned"] = model.pruned;
    }
    return metadata;
}

LoadedModel load_model(const std::string& spec, int64_t classes, const std::filesystem::path& weights,
                       DType dtype) {
    SafetensorsFile file = read_safetensors(weights);
    file.tensors = from_timm(std::move(file.tensors));
    LoadedModel loaded{.model = build_network(spec, classes)};
    if (classes == 0) {  // the head in the file says how many
        const auto head = file.tensors.find(loaded.model.head);
        if (head != file.tensors.end() && head->second.rank() >= 1 && head->second.numel() > 0 &&
            head->second.dim(0) != loaded.model.classes && !states_classes(spec)) {
            loaded.model = build_network(spec, head->second.dim(0));
        }
    }
    adopt_pruning(loaded.model, file.tensors, file.metadata);
    loaded.model.net->to(dtype);
    load_state_dict(*loaded.model.net, file.tensors, weights.string());
    read_input_needs(loaded, file.metadata);
    const auto multi_label = file.metadata.find("backlight.multi_label");
    loaded.multi_label = multi_label != file.metadata.end() && multi_label->second == "true";
    const std::vector<double> sample = numbers(file.metadata, "backlight.sample");
    if (sample.size() == 3) {
        loaded.model.picture = {static_cast<int64_t>(sample[0]), static_cast<int64_t>(sample[1]),
                                static_cast<int64_t>(sample[2])};
    }
    const auto names = file.metadata.find("backlight.classes");
    if (names != file.metadata.end()) {
        const nlohmann::json parsed = nlohmann::json::parse(names->second, nullptr, false);
        for (const auto& name : parsed.is_array() ? parsed : nlohmann::json::array()) {
            loaded.class_names.push_back(name.is_string() ? name.get<std::string>() : name.dump());
        }
    } else if (!loaded.states_input && !loaded.model.mean.empty() &&
               loaded.model.classes == kImageNetClasses) {
        loaded.class_names = imagenet_class_names();
    }
    return loaded;
}

}  // namespace backlight
