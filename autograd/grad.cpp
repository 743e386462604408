#include "autograd/grad.h"

#include <algorithm>
#include <unordered_set>

#include "autograd/functions.h"
#include "autograd/precision.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/profile.h"

namespace backlight {

const Traversal::Entry* Traversal::find(const Node* node) const {
    const auto found = index_.find(node);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

class TraversalRunner {
public:
    TraversalRunner(std::span<const Variable> outputs, const GradOptions& options)
        : options_(options),
          retain_(options.retain_graph || options.create_graph || options.rules != nullptr) {
        for (const Variable& output : outputs) {
            BACKLIGHT_CHECK(output.requires_grad(), "grad: an output of shape ", output.shape(),
                            " has no history: nothing that requires a gradient leads to it");
        }
        outputs_ = outputs;
    }

    /// Collects what is reachable, latest first; nodes older than all requested ones cannot lead to them.
    void collect(uint64_t oldest) {
        auto& entries = traversal_.entries_;
        auto& index = traversal_.index_;
        std::vector<NodePtr> pending;
        const auto visit = [&](const NodePtr& node) {
            if (node && node->sequence >= oldest && index.emplace(node.get(), entries.size()).second) {
                BACKLIGHT_CHECK(
                    !node->released,
                    "grad: the graph was already freed; ask for retain_graph in the first traversal");
                entries.push_back({.node = node, .cotangent = {}});
                pending.push_back(node);
            }
        };
        for (const Variable& output : outputs_) {
            visit(output.node());
        }
        while (!pending.empty()) {
            const NodePtr node = std::move(pending.back());
            pending.pop_back();
            for (const Variable& input : node->inputs) {
                visit(input.node());
            }
        }
        std::sort(entries.begin(), entries.end(),
                  [](const auto& a, const auto& b) { return a.node->sequence > b.node->sequence; });
        for (size_t i = 0; i < entries.size(); ++i) {
            index[entries[i].node.get()] = i;
        }
        for (const auto& entry : entries) {
            for (const Variable& input : entry.node->inputs) {
                if (auto* target = find(input)) {
                    ++target->consumers;
                }
            }
        }
    }

    [[nodiscard]] Traversal::Entry* find(const Variable& v) {
        const auto found = traversal_.index_.find(v.node().get());
        return found == traversal_.index_.end() ? nullptr : &traversal_.entries_[found->second];
    }

    void run(std::span<const Variable> seeds) {
        auto& entries = traversal_.entries_;
        for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {  // inputs before their users
            entry->needed = entry->requested;
            for (const Variable& input : entry->node->inputs) {
                const auto* source = find(input);
                entry->needed = entry->needed || (source != nullptr && source->needed);
            }
        }
        if (options_.rules != nullptr) {
            options_.rules->prepare(traversal_);
        }
        seed(seeds);
        for (auto& entry : entries) {
            if (entry.cotangent.defined() && entry.needed) {
                step(entry);
            }
            if (!entry.requested) {
                entry.cotangent = {};
            }
            if (!retain_) {
                entry.node = entry.requested ? entry.node : NodePtr();
            }
        }
        if (options_.rules != nullptr) {
            options_.rules->finish();
        }
    }

    [[nodiscard]] std::vector<Traversal::Entry>& entries() { return traversal_.entries_; }

private:
    void seed(std::span<const Variable> seeds) {
        BACKLIGHT_CHECK(seeds.empty() || seeds.size() == outputs_.size(), "grad: ", outputs_.size(),
                        " outputs need as many seeds, got ", seeds.size());
        for (size_t i = 0; i < outputs_.size(); ++i) {
            const Variable& output = outputs_[i];
            Variable start = seeds.empty() ? Variable() : seeds[i];
            if (!start.defined()) {
                BACKLIGHT_CHECK(output.numel() == 1, "grad: an output of shape ", output.shape(),
                                " needs a seed; only a scalar starts with 1");
                start = Tensor::ones(output.shape(), output.dtype(), output.data().device());
            }
            BACKLIGHT_CHECK(start.shape() == output.shape(), "grad: the seed of an output of shape ",
                            output.shape(), " has shape ", start.shape());
            BACKLIGHT_CHECK(start.dtype() == output.dtype(), "grad: the seed of a ", output.dtype(),
                            " output has type ", start.dtype());
            if (auto* entry = find(output)) {  // an output that is older than all inputs was not collected
                add(*entry, start);
            }
        }
    }

    void add(Traversal::Entry& entry, const Variable& arriving) {
        if (!entry.cotangent.defined()) {
            entry.cotangent = arriving;
        } else if (entry.owned) {
            Tensor sum = entry.cotangent.data();
            sum.backend().accumulate(sum, arriving.data());
        } else {
            entry.cotangent = entry.cotangent + arriving;
            entry.owned = !options_.create_graph;  // a fresh tensor that nobody else holds
        }
    }

    void step(Traversal::Entry& entry) {
        Node& node = *entry.node;
        const NodeView view(entry.node);
        if (options_.rules != nullptr && !node.is_leaf()) {
            entry.cotangent = options_.rules->arrived(view, entry.cotangent);
        }
        InputMask mask = 0;
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            const auto* source = find(node.inputs[i]);
            if (source != nullptr && source->needed) {
                mask |= InputMask{1} << i;
            }
        }
        if (mask == 0) {
            return;
        }
        std::optional<Variables> sent;
        if (options_.rules != nullptr) {
            sent = options_.rules->backward(view, entry.cotangent, mask);
        }
        if (!sent) {
            const Span span(node.op->kind(), "'");
            sent = options_.by_sample ? node.op->sample_vjp(view, entry.cotangent, mask)
                                      : node.op->vjp(view, entry.cotangent, mask);
        }
        if (options_.watch) {
            options_.watch(view, entry.cotangent, *sent);
        }
        for (size_t i = 0; i < node.inputs.size() && i < sent->size(); ++i) {
            Variable& arriving = (*sent)[i];
            if (!wants(mask, static_cast<int>(i)) || !arriving.defined()) {
                continue;
            }
            BACKLIGHT_CHECK(arriving.shape() == node.inputs[i].shape(), node.op->kind(), ": input ", i,
                            " of shape ", node.inputs[i].shape(), " was sent a gradient of shape ",
                            arriving.shape());
            add(*find(node.inputs[i]), convert(arriving, node.inputs[i].dtype()));
        }
        if (!retain_) {
            node.release();
        }
    }

    Traversal traversal_;
    std::span<const Variable> outputs_;
    const GradOptions& options_;
    bool retain_;
};

Variables grad(std::span<const Variable> outputs, std::span<const Variable> seeds,
               std::span<const Variable> inputs, const GradOptions& options) {
    TraversalRunner runner(outputs, options);
    uint64_t oldest = ~uint64_t{0};
    for (const Variable& input : inputs) {
        BACKLIGHT_CHECK(input.requires_grad(), "grad: an input of shape ", input.shape(),
                        " does not require a gradient");
        oldest = std::min(oldest, input.node()->sequence);
    }
    runner.collect(oldest);
    for (const Variable& input : inputs) {
        auto* entry = runner.find(input);
        BACKLIGHT_CHECK(entry != nullptr || options.allow_unused,
                        "grad: the outputs do not depend on an input of shape ", input.shape(),
                        "; allow_unused returns an undefined gradient for it");
        if (entry != nullptr) {
            entry->requested = true;
        }
    }
    if (options.create_graph) {
        const EnableGrad enabled;
        runner.run(seeds);
    } else {
        const NoGrad disabled;
        runner.run(seeds);
    }
    Variables results;
    results.reserve(inputs.size());
    for (const Variable& input : inputs) {
        const auto* entry = runner.find(input);
        Variable result = entry != nullptr ? entry->cotangent : Variable();
        if (!result.defined() && !options.allow_unused) {  // reachable, but every path has derivative zero
            result = Tensor::zeros(input.shape(), input.dtype(), input.data().device());
        }
        results.push_back(options.create_graph || !result.defined() ? result : result.detach());
    }
    return results;
}

Variables grad(const Variable& output, const Variable& seed, const Variables& inputs,
               const GradOptions& options) {
    const std::span<const Variable> seeds =
        seed.defined() ? std::span(&seed, 1) : std::span<const Variable>();
    return grad(std::span(&output, 1), seeds, inputs, options);
}

void backward(const Variable& loss, bool retain_graph) {
    const GradOptions options{.retain_graph = retain_graph};
    TraversalRunner runner(std::span(&loss, 1), options);
    runner.collect(0);
    for (auto& entry : runner.entries()) {
        entry.requested = entry.node->is_leaf();
    }
    const NoGrad disabled;
    runner.run({});
    std::unordered_set<uint64_t> taken;  // one tensor may have been sent to several leaves: a + b
    for (const auto& entry : runner.entries()) {
        if (!entry.requested || !entry.cotangent.defined()) {
            continue;
        }
        const Tensor& gradient = entry.cotangent.data();
        Tensor& accumulated = entry.node->grad;
        if (accumulated.defined()) {
            accumulated = (Variable(accumulated) + entry.cotangent).data();
        } else {
            accumulated = taken.insert(gradient.storage_id()).second ? gradient : gradient.clone();
        }
    }
}

}  // namespace backlight
