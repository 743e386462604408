#include "layers/recompute.h"

#include "autograd/grad.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "autograd/recording.h"
#include "core/error.h"
#include "layers/layers.h"

namespace backlight {
namespace {

thread_local bool recomputing = false;

/// While it lives, random layers draw as they did from `then` on, and statistics stay as they are.
class Replay {
public:
    explicit Replay(const RandomContext& then) : now_(RandomContext::current()), nested_(recomputing) {
        RandomContext::current() = then;
        recomputing = true;
    }
    ~Replay() {
        RandomContext::current() = now_;
        recomputing = nested_;
    }
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

private:
    RandomContext now_;
    bool nested_;
};

/// Inputs: x, then the parameters.
class Recompute final : public Op {
public:
    explicit Recompute(std::function<Variable(const Variable&)> function)
        : function_(std::move(function)),
          context_(RandomContext::current()),
          precision_(PrecisionScope::current()) {}
    [[nodiscard]] std::string_view kind() const override { return "recompute"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const EnableGrad on;  // the kernels of a training forward; its graph ends here
        return {function_(inputs[0]).data(), {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        BACKLIGHT_CHECK(
            !grad_enabled(),
            "recompute: a recomputed segment has no second derivative; run without recomputation");
        Variables asked;
        for (int i = 0; i < node.input_count(); ++i) {
            const Variable input = node.input(i);
            if (wants(mask, i)) {  // x as a leaf: what lies before it is not traversed here
                asked.push_back(i == 0 ? Variable::leaf(input.data()) : input);
            }
        }
        const Variable x = wants(mask, 0) ? asked[0] : node.input(0).detach();
        const Variable y = [&] {
            const EnableGrad on;
            const Replay replay(context_);
            const PrecisionScope scope(precision_);
            return function_(x);
        }();
        Variables sent = grad(y, d_y, asked, {.allow_unused = true});
        Variables gradients(static_cast<size_t>(node.input_count()));
        for (int i = 0, next = 0; i < node.input_count(); ++i) {
            if (wants(mask, i)) {
                gradients[static_cast<size_t>(i)] = std::move(sent[static_cast<size_t>(next++)]);
            }
        }
        return gradients;
    }

private:
    std::function<Variable(const Variable&)> function_;
    RandomContext context_;
    DType precision_;
};

}  // namespace

Variable recompute(std::function<Variable(const Variable&)> function, const Variable& x,
                   const Variables& parameters) {
    if (!grad_enabled() || Recording::current() != nullptr) {
        return function(x);
    }
    Variables inputs{x};
    inputs.insert(inputs.end(), parameters.begin(), parameters.end());
    return call(std::make_shared<Recompute>(std::move(function)), inputs);
}

bool is_recomputing() { return recomputing; }

}  // namespace backlight
