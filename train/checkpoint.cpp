#include "train/checkpoint.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "layers/state.h"

namespace backlight {
namespace {

constexpr std::string_view kModel = "model.";
constexpr std::string_view kOptimizer = "optimizer.";
constexpr std::string_view kAverage = "average.";
constexpr std::string_view kSystems = "augment.";

/// JSON has neither infinity nor NaN: they are written as null and read as infinity.
void read(const nlohmann::json& value, double& into) {
    into = value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, Module& net, const Optimizer& optimizer,
                     const TrainState& state) {
    std::map<std::string, Tensor> tensors;
    for (const auto& [name, value] : state_dict(net)) {
        tensors[std::string(kModel) + name] = value;
    }
    for (const auto& [name, value] : optimizer.state()) {
        tensors[std::string(kOptimizer) + name] = value;
    }
    for (const auto& [name, value] : state.average) {
        tensors[std::string(kAverage) + name] = value;
    }
    for (const auto& [name, value] : state.systems) {
        tensors[std::string(kSystems) + name] = value;
    }
    const nlohmann::json text = {{"epoch", state.epoch},
                                 {"batch", state.batch},
                                 {"step", state.step},
                                 {"optimizer_steps", optimizer.steps()},
                                 {"best_loss", state.best_loss},
                                 {"best_epoch", state.best_epoch},
                                 {"metrics_bytes", state.metrics_bytes},
                                 {"epoch_loss", state.epoch_loss},
                                 {"tuning", state.tuning},
                                 {"threads", state.threads},
                                 {"class_shares", state.class_shares},
                                 {"identity", state.identity}};
    write_safetensors(path, tensors, {{"backlight.checkpoint", text.dump()}});
}

TrainState load_checkpoint(const std::filesystem::path& path, Module& net, Optimizer& optimizer,
                           const std::string& identity) {
    const SafetensorsFile file = read_safetensors(path);
    const auto entry = file.metadata.find("backlight.checkpoint");
    BACKLIGHT_CHECK(entry != file.metadata.end(), path.string(), ": not a checkpoint of a training run");
    TrainState state;
    int64_t optimizer_steps = 0;
    try {
        const nlohmann::json text = nlohmann::json::parse(entry->second);
        text.at("epoch").get_to(state.epoch);
        text.at("batch").get_to(state.batch);
        text.at("step").get_to(state.step);
        text.at("optimizer_steps").get_to(optimizer_steps);
        read(text.at("best_loss"), state.best_loss);
        text.at("best_epoch").get_to(state.best_epoch);
        text.at("metrics_bytes").get_to(state.metrics_bytes);
        read(text.at("epoch_loss"), state.epoch_loss);
        text.at("tuning").get_to(state.tuning);
        text.at("threads").get_to(state.threads);
        text.at("class_shares").get_to(state.class_shares);
        text.at("identity").get_to(state.identity);
    } catch (const nlohmann::json::exception&) {
        throw_error(path.string() + ": the checkpoint's state is damaged");
    }
    BACKLIGHT_CHECK(state.identity == identity, path.string(),
                    ": belongs to another configuration: it was made with ", state.identity,
                    ", this run has ", identity);
    StateDict model;
    std::map<std::string, Tensor> optimizer_state;
    for (const auto& [name, value] : file.tensors) {
        if (name.starts_with(kModel)) {
            model[name.substr(kModel.size())] = value;
        } else if (name.starts_with(kOptimizer)) {
            optimizer_state[name.substr(kOptimizer.size())] = value;
        } else if (name.starts_with(kAverage)) {
            state.average[name.substr(kAverage.size())] = value;
        } else if (name.starts_with(kSystems)) {
            state.systems[name.substr(kSystems.size())] = value;
        }
    }
    load_state_dict(net, model, path.string());
    optimizer.restore(optimizer_state, optimizer_steps);
    return state;
}

}  // namespace backlight
