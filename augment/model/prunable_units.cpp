#include "augment/model/prunable_units.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "core/error.h"
#include "explain/explainer.h"
#include "explain/replay.h"

namespace backlight {
namespace {

// f(0) = 0, channel by channel. A dead unit stays 0 behind them.
constexpr std::array<std::string_view, 13> kKeepZero = {"relu",
                                                        "relu6",
                                                        "leaky_relu",
                                                        "elu",
                                                        "gelu",
                                                        "silu",
                                                        "tanh",
                                                        "abs",
                                                        "square",
                                                        "dropout",
                                                        "max_pool2d",
                                                        "avg_pool2d",
                                                        "adaptive_avg_pool2d"};

bool keeps_zero(std::string_view kind) {
    return std::find(kKeepZero.begin(), kKeepZero.end(), kind) != kKeepZero.end();
}

/// "layer1.0.relu#1" is the second call of layer1.0.relu.
std::string without_number(const std::string& name) { return name.substr(0, name.find('#')); }

/// The graph of one forward pass with the way forward: who reads a node's result.
class Graph {
public:
    Graph(Module& net, const ExplainedForward& forward) : output_(forward.logits().node().get()) {
        for (const auto& [path, module] : net.modules()) {
            modules_[path] = module;
        }
        nodes_ = nodes_between({forward.input()}, forward.logits());
        for (const NodePtr& node : nodes_) {
            ++calls_[without_number(node->name)];
            for (size_t i = 0; i < node->inputs.size(); ++i) {
                readers_[node->inputs[i].node().get()].push_back({node.get(), i});
            }
        }
    }

    struct Edge {
        const Node* reader;
        size_t input;
    };
    [[nodiscard]] const std::vector<NodePtr>& nodes() const { return nodes_; }
    [[nodiscard]] const std::vector<Edge>& readers(const Node* node) const { return readers_.at(node); }
    [[nodiscard]] bool is_output(const Node* node) const { return node == output_; }
    /// The module that a node is the call of; null where it is none or one of several calls.
    [[nodiscard]] Module* module_of(const Node& node) const {
        const std::string path = without_number(node.name);
        const auto module = modules_.find(path);
        return module != modules_.end() && calls_.at(path) == 1 ? module->second : nullptr;
    }

private:
    const Node* output_;
    std::map<std::string, Module*> modules_;
    std::vector<NodePtr> nodes_;
    std::map<std::string, int> calls_;
    std::unordered_map<const Node*, std::vector<Edge>> readers_;
};

bool is_weighted(std::string_view kind) { return kind == "conv2d" || kind == "linear"; }
bool is_norm(std::string_view kind) { return kind == "batch_norm" || kind == "group_norm"; }

/// (N,H,W,C) -> (N, H W C): how many features a channel becomes; 1 where the channels stay; 0: something
/// else.
int64_t positions_of_reshape(const Shape& from, const Shape& to) {
    if (from[-1] == to[-1] && from[0] == to[0]) {
        return 1;
    }
    return to.rank() == 2 && from.rank() == 4 && from[0] == to[0] ? from[1] * from[2] : 0;
}

/// Follows what a layer computes to the layers that read it.
class Follower {
public:
    Follower(const Graph& graph, UnitLayer& layer) : graph_(graph), layer_(layer) {}

    void follow(const Node* node, int64_t positions) {
        if (graph_.is_output(node)) {
            reaches_output_ = true;
            return;
        }
        for (const auto& [reader, input] : graph_.readers(node)) {
            const std::string_view kind = reader->op->kind();
            Module* const module = graph_.module_of(*reader);
            if (is_weighted(kind) && input == 0) {
                if (module == nullptr || !module->width()) {
                    tie(kind == "conv2d" && module != nullptr
                            ? "grouped convolution " + reader->name
                            : reader->name + ", which is called more than once");
                }
                layer_.readers.push_back({without_number(reader->name), positions});
            } else if (is_norm(kind) && input == 0 && module != nullptr) {
                layer_.norms.push_back(reader->name);
                if (layer_.norms.size() == 1 && node->name == layer_.name) {
                    layer_.at = reader->name;
                }
                if (kind == "group_norm") {
                    tie("group norm " + reader->name);
                }
                follow(reader, positions);
            } else if (keeps_zero(kind)) {
                follow(reader, positions);
            } else if (kind == "reshape" &&
                       positions_of_reshape(node->output.shape(), reader->output.shape()) > 0) {
                follow(reader,
                       positions * positions_of_reshape(node->output.shape(), reader->output.shape()));
            } else {
                tie(std::string(kind) + " in " + reader->name);
            }
        }
    }
    [[nodiscard]] bool reaches_output() const { return reaches_output_; }

private:
    void tie(const std::string& why) {
        if (layer_.tied.empty()) {
            layer_.tied = why;
        }
    }
    const Graph& graph_;
    UnitLayer& layer_;
    bool reaches_output_ = false;
};

int64_t living_in(const std::vector<uint8_t>& row) { return std::count(row.begin(), row.end(), 1); }

}  // namespace

PrunableUnits::PrunableUnits(Module& net, const Shape& sample) {
    Shape batch{1};
    for (const int64_t extent : sample) {
        batch.push_back(extent);
    }
    const ExplainedForward forward(net, Tensor::zeros(batch, net.parameters().at(0).value.dtype()));
    const Graph graph(net, forward);
    std::map<std::string, Module*> modules;
    for (const auto& [path, module] : net.modules()) {
        modules[path] = module;
    }
    NetworkCost whole{.parameters = net.parameter_count()};
    for (const NodePtr& node : graph.nodes()) {
        if (!is_weighted(node->op->kind())) {
            continue;
        }
        const Shape& w = node->inputs[1].shape();
        const int64_t positions = node->output.numel() / w[0];
        whole.macs += positions * w.numel();
        Module* const module = graph.module_of(*node);
        if (module == nullptr || module->own_parameters().empty()) {
            continue;
        }
        UnitLayer layer{.name = node->name, .at = node->name, .units = w[0]};
        Follower follower(graph, layer);
        if (!module->width()) {
            layer.tied = "it is a grouped convolution";
        }
        follower.follow(node.get(), 1);
        if (const auto width = module->width()) {
            Weighted own{.name = node->name,
                         .in = width->in,
                         .out = width->out,
                         .weights = w.numel() / (width->in * width->out),
                         .positions = positions};
            own.per_output = static_cast<int64_t>(module->own_parameters().size()) - 1;
            for (const std::string& norm : layer.norms) {
                own.per_output += static_cast<int64_t>(modules.at(norm)->own_parameters().size());
            }
            weighted_.push_back(own);
        }
        if (!follower.reaches_output()) {
            layers_.push_back(std::move(layer));
        }
    }
    const NetworkCost counted = cost(all_living());
    others_ = {whole.parameters - counted.parameters, whole.macs - counted.macs};
}

void PrunableUnits::leave_tied() {
    std::erase_if(layers_, [](const UnitLayer& layer) { return !layer.tied.empty(); });
}

int64_t PrunableUnits::count() const {
    return std::accumulate(layers_.begin(), layers_.end(), int64_t{0},
                           [](int64_t sum, const UnitLayer& layer) { return sum + layer.units; });
}

LivingUnits PrunableUnits::all_living() const {
    LivingUnits living;
    for (const UnitLayer& layer : layers_) {
        living.emplace_back(static_cast<size_t>(layer.units), 1);
    }
    return living;
}

NetworkCost PrunableUnits::cost(const LivingUnits& living) const {
    std::map<std::string, int64_t> fewer_in, fewer_out;
    for (size_t i = 0; i < layers_.size(); ++i) {
        if (!layers_[i].tied.empty()) {
            continue;
        }
        const int64_t dead = layers_[i].units - living_in(living.at(i));
        fewer_out[layers_[i].name] = dead;
        for (const UnitLayer::Reader& reader : layers_[i].readers) {
            fewer_in[reader.name] = dead * reader.positions;
        }
    }
    NetworkCost total = others_;
    for (const Weighted& layer : weighted_) {
        const int64_t in = layer.in - fewer_in[layer.name], out = layer.out - fewer_out[layer.name];
        total.parameters += out * (in * layer.weights + layer.per_output);
        total.macs += layer.positions * out * in * layer.weights;
    }
    return total;
}

}  // namespace backlight
