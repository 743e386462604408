// What every op has to satisfy, over the table of op cases.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <regex>
#include <set>

#include "autograd/grad.h"
#include "autograd/gradcheck.h"
#include "core/error.h"
#include "core/random.h"
#include "tests/autograd/observed_backend.h"
#include "tests/autograd/op_cases.h"

using namespace backlight;
using namespace backlight::test;

namespace {

Backend& observed_reference() {
    static ObservedBackend<ReferenceBackend> backend;
    return backend;
}

Backend& observed_cpu() {
    static ObservedBackend<CpuBackend> backend;
    return backend;
}

/// The value and the gradients of all inputs for one random cotangent.
std::vector<Tensor> value_and_gradients(const OpCase& op_case, const Variables& inputs,
                                        bool create_graph = false) {
    const Variable y = op_case.run(inputs);
    std::vector<double> c(static_cast<size_t>(y.numel()));
    RandomStream random(RandomKey{.seed = test_seed(), .step = 99});
    for (double& value : c) {
        value = random.normal();
    }
    std::vector<Tensor> results{y.data()};
    for (const Variable& d : grad(y, constant_like(y, c, y.shape()), inputs,
                                  {.create_graph = create_graph, .allow_unused = true})) {
        results.push_back(d.data());
    }
    return results;
}

Variables leaves_of_type(const Variables& inputs, DType dtype) {
    Variables converted;
    for (const Variable& input : inputs) {
        converted.push_back(Variable::leaf(input.data().to(dtype)));
    }
    return converted;
}

/// Largest |a - b| over max(1, largest |b|); infinite where one is NaN and the other is not.
double difference(const Tensor& a, const Tensor& b) {
    if (!a.defined() || !b.defined()) {
        return a.defined() == b.defined() ? 0 : INFINITY;
    }
    const std::vector<double> left = a.to(DType::f64).to_vector<double>();
    const std::vector<double> right = b.to(DType::f64).to_vector<double>();
    double scale = 1;
    double largest = 0;
    for (size_t i = 0; i < left.size(); ++i) {
        scale = std::max(scale, std::abs(right[i]));
        const double gap = std::abs(left[i] - right[i]);
        largest = std::isfinite(gap) ? std::max(largest, gap) : INFINITY;
    }
    return largest / scale;
}

bool same_bits(const Tensor& a, const Tensor& b) {
    if (!a.defined() || !b.defined()) {
        return a.defined() == b.defined();
    }
    std::vector<std::byte> left(a.bytes()), right(b.bytes());
    a.copy_to_host(left.data());
    b.copy_to_host(right.data());
    return a.shape() == b.shape() && left == right;
}

/// All cases, also after one that throws.
template <typename Check>
void for_each_case(const Check& check) {
    for (const OpCase& op_case : op_cases()) {
        try {
            check(op_case);
        } catch (const std::exception& error) {
            FAIL_CHECK(op_case.name(), ": ", std::string(error.what()), ", seed ", test_seed());
        }
    }
}

std::string which(size_t result) {
    return result == 0 ? "the value" : "the gradient of input " + std::to_string(result - 1);
}

}  // namespace

TEST_CASE("ops: every public function of autograd/functions.h has cases") {
    std::set<std::string> covered{"compare", "mask", "argmax",
                                  "top_k"};  // tensors of no history: tested below
    std::set<std::string> names;
    for (const OpCase& op_case : op_cases()) {
        covered.insert(op_case.op);
        CHECK_MESSAGE(names.insert(op_case.name()).second, "two cases are called ", op_case.name());
    }
    std::ifstream header(BACKLIGHT_SOURCE_DIR "/autograd/functions.h");
    REQUIRE(header);
    const std::regex declaration(
        R"(^\[\[nodiscard\]\] (?:inline )?(?:Variable|Tensor|std::pair<[^>]*>) ([a-z_0-9]+|operator.)\()");
    int declarations = 0;
    for (std::string line; std::getline(header, line);) {
        std::smatch match;
        if (std::regex_search(line, match, declaration)) {
            ++declarations;
            CHECK_MESSAGE(covered.count(match[1].str()) == 1, match[1].str(), " has no case in the table");
        }
    }
    CHECK(declarations > 70);
}

TEST_CASE("ops: gradients equal central differences") {
    const BackendScope scope(observed_reference());
    for_each_case([&](const OpCase& op_case) {
        const GradcheckReport report =
            gradcheck(op_case.run, draw_inputs(op_case, DType::f64, test_seed()), {.seed = test_seed()});
        CHECK_MESSAGE(report.passed, op_case.name(), ": ", to_string(report));
    });
}

TEST_CASE("ops: second derivatives equal central differences of first derivatives") {
    const BackendScope scope(observed_reference());
    for_each_case([&](const OpCase& op_case) {
        const GradcheckReport report =
            gradgradcheck(op_case.run, draw_inputs(op_case, DType::f64, test_seed()), {.seed = test_seed()});
        CHECK_MESSAGE(report.passed, op_case.name(), ": ", to_string(report));
    });
}

// A derivative that lost its history shows in the order after the next.
TEST_CASE("ops: third derivatives of some equal central differences of second derivatives") {
    const std::set<std::string> chosen{"batch_norm: shape (5, 3)",
                                       "layer_norm: shape (3, 4)",
                                       "group_norm: shape (2, 3, 2, 4), groups 2",
                                       "softmax: shape (2, 4)",
                                       "gelu: shape (2, 5)",
                                       "conv2d: stride 2, even image",
                                       "max_pool2d: overlap, padding 1",
                                       "linear: rows",
                                       "avg_pool2d: overlap, padding 1",
                                       "conv_transpose2d: groups 2",
                                       "sqrt: shape (2, 5)",
                                       "log_softmax: shape (2, 4)",
                                       "pow: both stretch",
                                       "gather_rows: with repeats",
                                       "resize: bilinear, not divisible",
                                       "operator/: a row stretches"};
    const BackendScope scope(observed_reference());
    size_t found = 0;
    for_each_case([&](const OpCase& op_case) {
        if (chosen.count(op_case.name()) == 0) {
            return;
        }
        ++found;
        const auto slope = [&](const Variables& inputs) {
            const Variable y = op_case.run(inputs);
            const Variable loss = sum(y * square(y));
            Variable total;
            for (const Variable& d : grad(loss, {}, inputs, {.create_graph = true})) {
                total = total.defined() ? total + sum(square(d)) : sum(square(d));
            }
            return total;
        };
        const Variables inputs = draw_inputs(op_case, DType::f64, test_seed());
        const GradcheckReport report = gradgradcheck(slope, inputs, {.seed = test_seed(), .max_entries = 4});
        CHECK_MESSAGE(report.passed, op_case.name(), ": ", to_string(report));
    });
    CHECK(found == chosen.size());
}

TEST_CASE("ops: create_graph changes no gradient") {
    const BackendScope scope(observed_reference());
    for_each_case([&](const OpCase& op_case) {
        const Variables inputs = draw_inputs(op_case, DType::f64, test_seed());
        const auto plain = value_and_gradients(op_case, inputs);
        const auto with_history = value_and_gradients(op_case, inputs, true);
        for (size_t i = 0; i < plain.size(); ++i) {
            CHECK_MESSAGE(difference(with_history[i], plain[i]) < 1e-12, op_case.name(), ": ", which(i),
                          ", seed ", test_seed());
        }
    });
}

// 1e-5: f32 carries 6e-8; the longest sum here has some 150 terms, and 1 / x up to x = 0.3 is squared in
// gradients.
TEST_CASE("ops: cpu and reference in f32 agree with reference in f64") {
    for_each_case([&](const OpCase& op_case) {
        const Variables inputs = draw_inputs(op_case, DType::f32, test_seed());
        const auto run = [&](Backend& backend, DType dtype) {
            const BackendScope scope(backend);
            return value_and_gradients(op_case, leaves_of_type(inputs, dtype));
        };
        const auto cpu = run(observed_cpu(), DType::f32);
        const auto reference = run(observed_reference(), DType::f32);
        const auto exact = run(observed_reference(), DType::f64);
        for (size_t i = 0; i < cpu.size(); ++i) {
            CHECK_MESSAGE(difference(cpu[i], reference[i]) < 1e-5, op_case.name(), ": ", which(i), ", seed ",
                          test_seed());
            if (op_case.same_values_in_f32) {
                CHECK_MESSAGE(difference(reference[i], exact[i]) < 1e-5, op_case.name(), ": ", which(i),
                              " in f64, seed ", test_seed());
            }
        }
    });
}

TEST_CASE("ops: two runs give the same bits") {
    const BackendScope scope(cpu_backend());
    for_each_case([&](const OpCase& op_case) {
        const auto first = value_and_gradients(op_case, draw_inputs(op_case, DType::f32, test_seed()));
        const auto second = value_and_gradients(op_case, draw_inputs(op_case, DType::f32, test_seed()));
        for (size_t i = 0; i < first.size(); ++i) {
            CHECK_MESSAGE(same_bits(first[i], second[i]), op_case.name(), ": ", which(i), ", seed ",
                          test_seed());
        }
    });
}

TEST_CASE("compare and mask give ones and zeros") {
    const Tensor a = Tensor::from<double>({-1, 0, 2}, {3});
    const Tensor b = Tensor::from<double>({0, 0, 0}, {3});
    const auto values = [](const Tensor& t) { return t.to_vector<double>(); };
    CHECK(values(compare(BinaryOp::greater, a, b)) == std::vector<double>{0, 0, 1});
    CHECK(values(compare(BinaryOp::greater_equal, a, b)) == std::vector<double>{0, 1, 1});
    CHECK(values(compare(BinaryOp::less, a, b)) == std::vector<double>{1, 0, 0});
    CHECK(values(compare(BinaryOp::less_equal, a, b)) == std::vector<double>{1, 1, 0});
    CHECK(values(compare(BinaryOp::equal, a, b)) == std::vector<double>{0, 1, 0});
    CHECK(values(mask(UnaryOp::is_positive, a)) == std::vector<double>{0, 0, 1});
    CHECK(values(mask(UnaryOp::is_negative, a)) == std::vector<double>{1, 0, 0});
    CHECK(values(mask(UnaryOp::is_zero, a)) == std::vector<double>{0, 1, 0});
    const Tensor odd = Tensor::from<double>({INFINITY, -INFINITY, NAN, 1}, {4});
    CHECK(values(mask(UnaryOp::is_finite, odd)) == std::vector<double>{0, 0, 0, 1});
}

TEST_CASE("argmax takes the first of equals; top_k sorts downwards") {
    const Tensor x = Tensor::from<double>({1, 3, 3, 2, 0, -1, -1, -2}, {2, 4});
    CHECK(argmax(x, 1).to_vector<int64_t>() == std::vector<int64_t>{1, 0});
    CHECK(argmax(x, -2).to_vector<int64_t>() == std::vector<int64_t>{0, 0, 0, 0});
    CHECK(argmax(x, 1).shape() == Shape{2});
    const auto [values, index] = top_k(x, 3);
    CHECK(values.to_vector<double>() == std::vector<double>{3, 3, 2, 0, -1, -1});
    CHECK(index.to_vector<int64_t>() == std::vector<int64_t>{1, 2, 3, 0, 1, 2});
}

TEST_CASE("gradcheck sees a wrong derivative") {
    // y = x^2 whose gradient is cut: half of the true one
    const auto wrong = [](const Variables& v) { return v[0] * v[0].detach(); };
    const Variables x{Variable::leaf(Tensor::from<double>({0.5, 2}, {2}))};
    const GradcheckReport report = gradcheck(wrong, x);
    CHECK(!report.passed);
    CHECK(report.numeric == doctest::Approx(2 * report.analytic));
    CHECK(to_string(report).find("input 0 entry ") == 0);
    // y = x^3 with the right first derivative 3 x^2, which has no history
    const auto wrong_later = [](const Variables& v) {
        const Variable x0 = v[0].detach();
        return pow(x0, 3.0) + 3.0 * square(x0) * (v[0] - x0);
    };
    CHECK(gradcheck(wrong_later, x).passed);
    CHECK(!gradgradcheck(wrong_later, x).passed);
    const auto right = [](const Variables& v) { return pow(v[0], 3.0); };
    CHECK(gradgradcheck(right, x).passed);
    CHECK(gradcheck(right, x, {.max_entries = 1}).checked == 1);
    CHECK_THROWS_WITH_AS((void)gradcheck(right, {Variable::leaf(Tensor::ones({2}))}),
                         "gradcheck: expected float64 leaves, got float32 (2,)", Error);
}
