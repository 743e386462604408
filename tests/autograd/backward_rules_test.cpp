// Rules as an argument of the traversal.
#include <doctest/doctest.h>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "tests/autograd/leaves.h"

using namespace backlight;
using namespace backlight::test;
using doctest::Approx;

namespace {

/// Sends 2 R through relu, the vjp elsewhere.
class DoubleAtRelu final : public BackwardRules {
public:
    void prepare(const Traversal& traversal) override {
        for (const auto& entry : traversal.entries()) {
            kinds += entry.node->is_leaf() ? "leaf " : std::string(entry.node->op->kind()) + " ";
            consumers.push_back(entry.consumers);
        }
    }
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override {
        CHECK(wants(mask, 0));
        if (node.kind() != "relu") {
            return std::nullopt;
        }
        return Variables{r_y * 2.0};
    }
    std::string kinds;
    std::vector<int> consumers;
};

/// Sets to zero what arrives at products.
class CutAtProducts final : public BackwardRules {
public:
    [[nodiscard]] std::optional<Variables> backward(const NodeView&, const Variable&, InputMask) override {
        return std::nullopt;
    }
    [[nodiscard]] Variable arrived(const NodeView& node, const Variable& r_y) override {
        return node.kind() == "multiply" ? r_y * 0.0 : r_y;
    }
};

/// Sends something of a wrong shape.
class WrongShape final : public BackwardRules {
public:
    [[nodiscard]] std::optional<Variables> backward(const NodeView&, const Variable& r_y,
                                                    InputMask) override {
        return Variables{reshape(r_y, Shape{1, r_y.numel()})};
    }
};

}  // namespace

TEST_CASE("grad: rules replace the vjp where they answer, and see the traversal before") {
    const Variable x = leaf({-1, 2});
    const Variable y = relu(x);
    const Variable z = y * y;
    DoubleAtRelu rules;
    const Tensor seed = Tensor::ones({2}, DType::f64);
    CHECK(values(grad(z, seed, {x}, {.rules = &rules})[0]) == Values{0, 8});
    CHECK(rules.kinds == "multiply relu leaf ");
    CHECK(rules.consumers == std::vector<int>{0, 2, 1});
    CHECK(values(grad(z, seed, {x})[0]) == Values{0, 4});  // the graph was retained, and is plain again
}

TEST_CASE("grad: an answer of rules has a history under create_graph") {
    const Variable x = scalar(3);
    DoubleAtRelu rules;
    const Variable r = grad(pow(relu(x), 3.0), {}, {x}, {.create_graph = true, .rules = &rules})[0];  // 6 x^2
    CHECK(r.item() == Approx(54));
    CHECK(grad(r, {}, {x})[0].item() == Approx(36));
}

TEST_CASE("grad: arrived may replace what is passed on, and what is returned") {
    const Variable x = scalar(3);
    const Variable y = square(x);
    const Variable z = y * x;
    CutAtProducts rules;
    const Variables d = grad(z + y, {}, {x, z, y}, {.rules = &rules});
    CHECK(d[0].item() == 6);  // through y only
    CHECK(d[1].item() == 0);
    CHECK(d[2].item() == 1);
}

TEST_CASE("grad: an answer of the wrong shape is an Error") {
    const Variable x = leaf({1, 2});
    WrongShape rules;
    CHECK_THROWS_WITH_AS((void)grad(sin(x), Tensor::ones({2}, DType::f64), {x}, {.rules = &rules}),
                         "sin: input 0 of shape (2,) was sent a gradient of shape (1, 2)", Error);
}
