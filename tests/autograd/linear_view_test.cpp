// The door through which rules see linear ops: for every case of the table whose op has one,
//   z = apply(x, W) + b,     <apply(x, W), s> = <x, adjoint(s, W)> = <W, adjoint_params(x, s)>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "autograd/grad.h"
#include "autograd/recording.h"
#include "core/random.h"
#include "tests/autograd/op_cases.h"

using namespace backlight;
using namespace backlight::test;

namespace {

Variable random_like(const Variable& v, uint64_t stream) {
    RandomStream random(RandomKey{.seed = test_seed(), .step = stream});
    std::vector<double> values(static_cast<size_t>(v.numel()));
    for (double& value : values) {
        value = random.normal();
    }
    return Tensor::from(values, v.shape());
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max({1.0, std::abs(a), std::abs(b)}); }

double largest(const Variable& v) { return v.numel() == 0 ? 0 : amax(abs(v)).item(); }

}  // namespace

TEST_CASE("linear views: value, adjoint in x, adjoint in the weight, other batch sizes") {
    std::set<std::string> kinds;
    for (const OpCase& op_case : op_cases()) {
        const Variables inputs = draw_inputs(op_case, DType::f64, test_seed());
        std::optional<LinearView> view;
        Variable z;
        {
            const Recording recording;
            z = op_case.run(inputs);
            if (!z.requires_grad() || z.node()->is_leaf()) {
                continue;
            }
            const NodeView node(z.node());
            view = node.op().as_linear(node);
            if (!view) {
                continue;
            }
            kinds.insert(std::string(node.kind()));
        }
        INFO(op_case.name(), ", seed ", test_seed());
        const NoGrad off;
        const Variable product = view->apply(view->x, view->weight);
        CHECK(largest((view->bias.defined() ? product + view->bias : product) - z) < 1e-12);
        const Variable s = random_like(z, 1);
        const Variable x = random_like(view->x, 2);
        const Variable weight = random_like(view->weight, 3);
        const double value = sum(view->apply(x, weight) * s).item();
        CHECK(near(value, sum(x * view->adjoint(s, weight)).item()));
        CHECK(near(value, sum(weight * view->adjoint_params(x, s)).item()));
        if (op_case.op != "layer_norm" && op_case.op != "group_norm") {  // weights with rows of their own
            const Variable twice = view->apply(concat({x, x}, 0), weight);
            CHECK(largest(twice - concat({view->apply(x, weight), view->apply(x, weight)}, 0)) < 1e-12);
            const Variable back = view->adjoint(concat({s, s}, 0), weight);
            CHECK(largest(back - concat({view->adjoint(s, weight), view->adjoint(s, weight)}, 0)) < 1e-12);
        }
    }
    CHECK(kinds == std::set<std::string>{"batch_norm", "conv2d", "conv_transpose2d", "group_norm",
                                         "layer_norm", "linear"});
}
