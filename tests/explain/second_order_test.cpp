// For every method that a loss may contain: the gradient of ½‖R‖² with respect to the weights against central
// differences along random directions, f64.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/io/npy.h"
#include "tests/datasets/support.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// conv BN ReLU pool, residual block, global average, linear: what all methods can explain, CAM too.
std::unique_ptr<Sequential> network(uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    const auto conv = [](int64_t in, int64_t out) {
        return std::make_unique<Conv2d>(Conv2d::Config{.in = in, .out = out, .attrs = {.padding = {1, 1}}});
    };
    net->add(conv(2, 3)).add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3})).add(make_relu());
    net->add(make_max_pool(2));
    auto body = std::make_unique<Sequential>();
    body->add(conv(3, 3)).add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
    net->add(std::make_unique<Residual>(std::move(body), nullptr));
    net->add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 3}));
    randomize(*net, seed);
    return net;
}

/// A method with its options, and the layer where its relevance is taken (none: the input).
struct Row {
    std::string method;
    std::vector<std::string> layers{};
    [[nodiscard]] std::string name() const { return method.substr(0, method.find('(')); }
};

/// Options that keep a method small, that it needs, or that take another path through the code. Every other
/// method is checked with its defaults.
std::vector<Row> rows_with_options(const std::string& prototypes) {
    return {{"smoothgrad(n=2)"},
            {"smoothgrad_sq(n=2, method=epsilon_plus)"},
            {"vargrad(n=3)"},
            {"integrated_gradients(n=4)"},
            {"integrated_gradients(n=4)", {"3"}},
            {"expected_gradients(k=3)"},
            {"deep_lift"},
            {"deep_lift", {"3"}},
            {"contextual_decomposition(window=3)"},
            {"preset_b_flat_until(k=1)"},
            {"composite(parts=(first:zbox(low=-1,high=1); conv:gamma; linear:epsilon(0.1)))"},
            {"composite(parts=(conv:alpha_beta(alpha=2,bias=distribute); any:epsilon; max_pool:norm))"},
            {"epsilon"},
            {"epsilon(norm_scale=true, epsilon=0.1)"},
            {"epsilon(form=clip, epsilon=0.1)"},
            {"gradient"},
            {"gradient(paths=exclude_shortcuts)"},
            {"epsilon_plus"},
            {"epsilon_plus", {"3"}},
            {"epsilon_plus(paths=exclude_shortcuts)"},
            {"epsilon_plus(start=contrastive)"},
            {"crp(layer=2, channels=0:1)"},
            {"prp(layer=5, prototypes=" + prototypes + ", prototype=1)"},
            {"prp(layer=5, prototypes=" + prototypes + ", power=4)"}};
}

/// The methods that a loss cannot contain.
const std::map<std::string, std::string>& without_derivative() {
    static const std::map<std::string, std::string> reasons = {
        {"occlusion", "differences of scores of changed inputs"},
        {"ablation", "differences of scores of changed inputs"},
        {"representation_erasure", "ratios of scores of changed inputs"},
        {"lime", "a regression on scores of changed inputs"},
        {"kernel_shap", "a regression on scores of changed inputs"},
        {"rise", "a mean of scores of changed inputs"}};
    return reasons;
}

/// ½‖R‖² as a function of the weights.
class Loss {
public:
    Loss(const Row& row, const ExplainContext& context)
        : explainer_(build_method(row.method, context)), request_{.targets = {0, 2}, .layers = row.layers} {
        for (const Parameter& p : net_->parameters()) {
            names_.push_back(p.name);
            parameters_.push_back(p.value);
        }
        const auto logits = ExplainedForward(*net_, x_).logits().data().to_vector<double>();
        REQUIRE(logits[0] > 0);  // of a negative logit deep Taylor explains nothing
        REQUIRE(logits[3 + 2] > 0);
    }
    [[nodiscard]] bool differentiable() const { return explainer_->differentiable(); }
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
    [[nodiscard]] const Variables& parameters() const { return parameters_; }

    [[nodiscard]] double value() {
        const Explanation found = explainer_->explain(ExplainedForward(*net_, x_), request_, false);
        const NoGrad off;
        return 0.5 * sum(square(found.maps[0].detach())).item();
    }

    /// One a parameter, undefined where the loss does not depend on it.
    [[nodiscard]] Variables gradient() {
        const Variable r = explainer_->explain(ExplainedForward(*net_, x_), request_, true).maps[0];
        REQUIRE(r.requires_grad());
        return grad(sum(square(r)) * 0.5, {}, parameters_, {.allow_unused = true});
    }

    /// The derivative along `direction`, from five points: exact for polynomials of degree 4.
    [[nodiscard]] double slope(const std::vector<Tensor>& direction) {
        std::vector<Tensor> kept;
        for (const Variable& p : parameters_) {
            kept.push_back(p.data().clone());
        }
        const auto move = [&](double by) {
            const NoGrad off;
            for (size_t i = 0; i < kept.size(); ++i) {
                Tensor value = parameters_[i].data();
                value.copy_from((Variable(kept[i]) + Variable(direction[i]) * by).data());
            }
        };
        const auto at = [&](double by) {
            move(by);
            return value();
        };
        constexpr double kStep = 1e-6;
        const double near = at(kStep) - at(-kStep);
        const double far = at(2 * kStep) - at(-2 * kStep);
        move(0);
        return (8 * near - far) / (12 * kStep);
    }

private:
    std::unique_ptr<Sequential> net_ = network(19);
    Tensor x_ = random_tensor({2, 6, 6, 2}, 12);
    std::unique_ptr<Explainer> explainer_;
    ExplainRequest request_;
    std::vector<std::string> names_;
    Variables parameters_;
};

void check(Loss& loss) {
    REQUIRE(loss.differentiable());
    const Variables g = loss.gradient();
    // Not every method depends on every parameter (no gradient of rectifiers does on a bias), but all do on
    // the first weights.
    REQUIRE(loss.names()[0] == "0.weight");
    REQUIRE(g[0].defined());
    CHECK(max_abs(g[0].data()) > 0);
    double steepest = 0, largest = 0, worst = 0;
    for (uint64_t k = 0; k < 5; ++k) {
        const bool of_rest = k == 4;  // what has no gradient must move nothing
        const NoGrad off;
        std::vector<Tensor> direction;
        double analytic = 0;
        for (size_t i = 0; i < g.size(); ++i) {
            const Tensor step = random_tensor(loss.parameters()[i].shape(), 100 * k + i);
            const bool moves = !of_rest || !g[i].defined();
            direction.push_back(moves ? step : Tensor::zeros(step.shape(), DType::f64));
            if (g[i].defined() && moves) {
                analytic += sum(g[i] * Variable(step)).item();
            }
        }
        const double numeric = loss.slope(direction);
        CAPTURE(k);
        CAPTURE(analytic);
        CAPTURE(numeric);
        CHECK(std::isfinite(analytic));
        CHECK(std::isfinite(numeric));
        steepest = std::max(steepest, std::abs(numeric));
        largest = std::max({largest, std::abs(analytic), std::abs(numeric)});
        worst = std::max(worst, std::abs(analytic - numeric));
    }
    const double value = loss.value();
    CAPTURE(value);
    CAPTURE(worst);
    CAPTURE(largest);
    CHECK(value > 0);
    CHECK(steepest > 1e-2 * value);  // there is something to be missed
    CHECK(worst <= 1e-6 * largest);
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("second order: every differentiable method's gradient with respect to the weights") {
        const testing::TemporaryFolder folder;
        const std::string prototypes = (folder.path() / "p.npy").string();
        write_npy(prototypes, random_tensor({2, 3}, 4, 0, 1));
        const ExplainContext context{
            .cam_layer = "5", .low = {-1}, .high = {1}, .background = always(random_tensor({2, 6, 6, 2}, 3))};
        const std::vector<std::string> names = method_names();
        std::vector<Row> rows = rows_with_options(prototypes);
        for (const std::string& name : names) {
            const bool has_row =
                std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return row.name() == name; });
            if (!has_row && !without_derivative().contains(name)) {
                rows.push_back({name});
            }
        }
        std::set<std::string> seen;
        for (const Row& row : rows) {
            CAPTURE(row.method);
            CAPTURE(row.layers.size());
            Loss loss(row, context);
            check(loss);
            seen.insert(row.name());
        }
        for (const auto& [name, reason] : without_derivative()) {
            CAPTURE(name);
            CAPTURE(reason);
            CHECK_FALSE(build_method(name, context)->differentiable());
            CHECK(seen.insert(name).second);
        }
        CHECK(seen == std::set<std::string>(names.begin(), names.end()));
    }
}
