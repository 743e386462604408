// Optimisers against PyTorch: golden_optimizers.h holds what tests/oracle/optimizers.py computed there.
#include "train/optimizer.h"

#include <functional>

#include "core/backend.h"
#include "tests/layers/support.h"
#include "tests/train/golden_optimizers.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

constexpr int64_t kCount = 5;

/// The formulas of the script.
std::vector<double> first_weights() {
    std::vector<double> w;
    for (int64_t i = 0; i < kCount; ++i) {
        w.push_back(static_cast<double>((37 * i) % 11) / 5 - 1);
    }
    return w;
}
std::vector<double> gradient(int64_t step) {
    std::vector<double> g;
    for (int64_t i = 0; i < kCount; ++i) {
        g.push_back(static_cast<double>((29 * i + 13 * step) % 17) / 8 - 1);
    }
    return g;
}

struct Case {
    std::string name;
    double lr;
    OptimizerConfig config;
};

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        {"sgd", 0.1, {.name = "sgd", .momentum = 0}},
        {"sgd decay", 0.1, {.name = "sgd", .momentum = 0, .weight_decay = 0.05}},
        {"sgd momentum", 0.1, {.name = "sgd", .momentum = 0.9}},
        {"sgd momentum decay", 0.1, {.name = "sgd", .momentum = 0.8, .weight_decay = 0.05}},
        {"sgd nesterov decay", 0.1, {.name = "sgd", .momentum = 0.9, .nesterov = true, .weight_decay = 0.05}},
        {"adam", 0.1, {.name = "adam"}},
        {"adam decay betas",
         0.1,
         {.name = "adam", .weight_decay = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-4}},
        {"adamw", 0.1, {.name = "adamw", .weight_decay = 0.05}},
        {"adadelta", 0.5, {.name = "adadelta"}},
        {"adadelta decay", 1.0, {.name = "adadelta", .weight_decay = 0.05, .eps = 1e-4, .rho = 0.8}},
        {"rmsprop", 0.1, {.name = "rmsprop", .momentum = 0}},
        {"rmsprop decay alpha",
         0.1,
         {.name = "rmsprop", .momentum = 0, .weight_decay = 0.05, .eps = 1e-4, .alpha = 0.8}},
        {"rmsprop momentum", 0.1, {.name = "rmsprop", .momentum = 0.9}},
        {"rmsprop centered momentum",
         0.1,
         {.name = "rmsprop", .momentum = 0.9, .alpha = 0.8, .centered = true}},
    };
    return all;
}

Parameter weight(const std::string& name, const std::vector<double>& values, DType dtype = DType::f32) {
    return {name, Variable::leaf(tensor(values, {static_cast<int64_t>(values.size())}, dtype)), {}};
}

void set_gradient(const Parameter& parameter, const std::vector<double>& values) {
    parameter.value.set_grad(tensor(values, parameter.value.shape(), parameter.value.dtype()));
}

}  // namespace

TEST_CASE("optimizer: every one follows PyTorch's, step by step") {
    CHECK(cases().size() == test::golden_optimizers.size());
    for (const Case& c : cases()) {
        for (const DType dtype : {DType::f32, DType::f64}) {
            CAPTURE(c.name);
            CAPTURE(dtype);
            const Parameter w = weight("w", first_weights(), dtype);
            const auto optimizer = make_optimizer(c.config, {w});
            const auto& golden = test::golden_optimizers.at(c.name);
            for (size_t step = 0; step < golden.size(); ++step) {
                CAPTURE(step);
                set_gradient(w, gradient(static_cast<int64_t>(step)));
                optimizer->step(c.lr);
                // Adadelta divides by √(1e-8) at first: f32 loses two digits.
                check_values(w.value.data(), {kCount}, golden[step], dtype == DType::f64 ? 1e-13 : 2e-6);
            }
            CHECK(optimizer->steps() == static_cast<int64_t>(golden.size()));
        }
    }
}

TEST_CASE("optimizer: a saved state continues with the same bits") {
    for (const Case& c : cases()) {
        CAPTURE(c.name);
        const Parameter whole = weight("w", first_weights());
        const auto uninterrupted = make_optimizer(c.config, {whole});
        Parameter part = weight("w", first_weights());
        auto optimizer = make_optimizer(c.config, {part});
        for (int64_t step = 0; step < 6; ++step) {
            if (step == 3) {  // a new process: the weights and the state come from a file
                const Parameter copy{"w", Variable::leaf(part.value.data().clone()), {}};
                std::map<std::string, Tensor> state;
                for (const auto& [name, value] : optimizer->state()) {
                    state[name] = value.clone();
                }
                auto restored = make_optimizer(c.config, {copy});
                restored->restore(state, optimizer->steps());
                part = copy;
                optimizer = std::move(restored);
            }
            for (const auto& [w, o] :
                 {std::pair(whole, uninterrupted.get()), std::pair(part, optimizer.get())}) {
                set_gradient(w, gradient(step));
                o->step(c.lr);
            }
        }
        CHECK(equal(part.value.data(), whole.value.data()));
        CHECK(optimizer->steps() == 6);
    }
}

TEST_CASE(
    "optimizer: state tensors are named after their parameter, parameters without a gradient are skipped") {
    const Parameter a = weight("features.0.weight", {1, 2}), b = weight("head.bias", {3});
    const auto optimizer = make_optimizer({.name = "adam"}, {a, b});
    set_gradient(a, {1, 1});
    optimizer->step(0.1);
    CHECK(values_of(b.value.data())[0] == 3);
    const auto state = optimizer->state();
    CHECK(state.size() == 2);
    CHECK(state.contains("features.0.weight.mean"));
    CHECK(state.contains("features.0.weight.square_mean"));
}

TEST_CASE("optimizer: a step marks the weights as changed, so that caches of them are not used again") {
    const Parameter w = weight("w", {1, 2});
    const auto optimizer = make_optimizer({}, {w});
    const uint64_t before = w.value.data().version();
    set_gradient(w, {1, 1});
    optimizer->step(0.1);
    CHECK(w.value.data().version() > before);
}

TEST_CASE("optimizer: a state of another shape or of an unknown parameter is refused") {
    const Parameter w = weight("w", {1, 2});
    const auto optimizer = make_optimizer({}, {w});
    CHECK(contains(error_of([&] {
                       optimizer->restore({{"w.momentum", Tensor::zeros({3})}}, 1);
                   }),
                   "w.momentum"));
    CHECK(contains(error_of([&] {
                       optimizer->restore({{"v.momentum", Tensor::zeros({2})}}, 1);
                   }),
                   "v.momentum"));
}

TEST_CASE("optimizer: wrong names and numbers are refused") {
    const auto make_error = [](const OptimizerConfig& config) {
        return error_of([&] { (void)make_optimizer(config, {}); });
    };
    const std::string text = make_error({.name = "adan"});
    CHECK(contains(text, "unknown optimizer \"adan\"; did you mean adam?"));
    CHECK(contains(text, "sgd, adam, adamw, adadelta, rmsprop"));
    CHECK(contains(make_error({.momentum = 1}), "momentum < 1"));
    CHECK(contains(make_error({.momentum = -0.1}), "momentum"));
    CHECK(contains(make_error({.weight_decay = -1}), "weight_decay >= 0"));
    CHECK(contains(make_error({.momentum = 0, .nesterov = true}), "nesterov needs momentum"));
    CHECK(contains(make_error({.name = "adam", .beta1 = 1}), "beta1"));
    CHECK(contains(make_error({.name = "adam", .eps = -1e-8}), "eps"));
    CHECK(contains(make_error({.name = "rmsprop", .alpha = 1}), "alpha"));
    CHECK(contains(make_error({.name = "adadelta", .rho = 1.5}), "rho"));
    CHECK(list_optimizers() == std::vector<std::string>{"sgd", "adam", "adamw", "adadelta", "rmsprop"});
}

TEST_CASE("optimizer: groups change rate and decay of what they name, the last one counts") {
    const std::vector<Parameter> all = {{"a.weight", Variable::leaf(tensor({1}, {1, 1})), {}},
                                        weight("a.bias", {1}),
                                        weight("norm.weight", {1}),
                                        {"head.weight", Variable::leaf(tensor({1}, {1, 1})), {}},
                                        weight("head.bias", {1})};
    const auto after = [&](OptimizerConfig config) {
        config.momentum = 0;
        config.weight_decay = 0.5;
        std::vector<Parameter> fresh;
        for (const Parameter& p : all) {
            fresh.push_back({p.name, Variable::leaf(p.value.data().clone()), {}});
            fresh.back().value.set_grad(Tensor::ones(p.value.shape()));
        }
        make_optimizer(config, fresh)->step(0.125);
        std::vector<double> values;
        for (const Parameter& p : fresh) {
            values.push_back(p.value.data().item());
        }
        return values;
    };
    const auto moved = [](double lr, double decay) { return 1 - 0.125 * lr * (1 + decay); };
    CHECK(after({.no_decay_norm_bias = true}) ==
          std::vector<double>{moved(1, 0.5), moved(1, 0), moved(1, 0), moved(1, 0.5), moved(1, 0)});
    CHECK(after({.no_decay_norm_bias = true,
                 .groups = {parse_group("head.*:lr=4"), parse_group("*.bias:weight_decay=1"),
                            parse_group("head.bias:lr=2")}}) ==
          std::vector<double>{moved(1, 0.5), moved(1, 1), moved(1, 0), moved(4, 0.5), moved(2, 1)});
    CHECK(contains(error_of([&] { (void)after({.groups = {parse_group("tail.*:lr=1")}}); }),
                   "no trained parameter matches \"tail.*\""));
    for (const char* wrong : {"", "head.*", ":lr=1", "head.*:", "head.*:lr=-1", "head.*:lr=nan",
                              "head.*:rate=1", "head.*:weight_decay=-1"}) {
        CAPTURE(wrong);
        CHECK(contains(error_of([&] { (void)parse_group(wrong); }), "group"));
    }
}

TEST_CASE("clipping: all gradients shrink by one factor when their joint norm exceeds the limit") {
    const Parameter a = weight("a", {0, 0}), b = weight("b", {0}), unused = weight("c", {0});
    set_gradient(a, {2, 3});
    set_gradient(b, {6});  // norm 7
    CHECK(clip_gradients({a, b, unused}, 7.5) == doctest::Approx(7));
    check_values(a.value.grad(), {2}, {2, 3}, 0);
    CHECK(clip_gradients({a, b, unused}, 0) == doctest::Approx(7));  // 0: never
    check_values(b.value.grad(), {1}, {6}, 0);
    CHECK(clip_gradients({a, b, unused}, 3.5) == doctest::Approx(7));
    check_values(a.value.grad(), {2}, {1, 1.5});
    check_values(b.value.grad(), {1}, {3});
    CHECK_FALSE(unused.value.grad().defined());
    set_gradient(a, {0, 0});
    set_gradient(b, {0});
    CHECK(clip_gradients({a, b}, 1) == 0);
    check_values(a.value.grad(), {2}, {0, 0}, 0);
}
