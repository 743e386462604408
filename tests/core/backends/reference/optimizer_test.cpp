#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

constexpr double kTwice = 2;  // the gradient of the second step is twice the first

// Two steps from w = 1 (and 0.5) with gradients (1, -2) and then (2, -4); returns w after each.
template <typename T>
std::vector<std::vector<double>> sgd(SgdAttrs attrs, std::vector<double>* velocity_after = nullptr) {
    Tensor w = tensor<T>({1, 0.5}, {2});
    Tensor velocity = attrs.momentum == 0 ? Tensor() : output<T>({2});
    std::vector<std::vector<double>> result;
    for (const double factor : {1.0, kTwice}) {
        attrs.first_step = result.empty();
        const Tensor g = tensor<T>({factor, -2 * factor}, {2});
        reference_backend().sgd_step(attrs, w, g, velocity);
        check_values(g, {factor, -2 * factor});
        result.push_back(values_of(w));
    }
    if (velocity_after != nullptr) {
        *velocity_after = values_of(velocity);
    }
    return result;
}

template <typename T>
void check_steps(const std::vector<std::vector<double>>& got,
                 const std::vector<std::vector<double>>& expected) {
    REQUIRE(got.size() == expected.size());
    for (size_t step = 0; step < got.size(); ++step) {
        for (size_t i = 0; i < got[step].size(); ++i) {
            INFO("step ", step, " element ", i, ": ", got[step][i], " instead of ", expected[step][i]);
            CHECK(is_close(got[step][i], expected[step][i], kTolerance<T>));
        }
    }
}

}  // namespace

TEST_CASE_TEMPLATE("sgd: plain descent needs no state", T, float, double) {
    check_steps<T>(sgd<T>({.lr = 0.1}), {{0.9, 0.7}, {0.7, 1.1}});
    // g' = g + 0.5 w: 1.5, -1.75; then 2 + 0.425, -4 + 0.3375.
    check_steps<T>(sgd<T>({.lr = 0.1, .weight_decay = 0.5}), {{0.85, 0.675}, {0.6075, 1.04125}});
}

TEST_CASE_TEMPLATE("sgd: the velocity starts as the gradient and gathers momentum", T, float, double) {
    std::vector<double> velocity;
    // v = 1, then 0.9 + 2 = 2.9.
    check_steps<T>(sgd<T>({.lr = 0.1, .momentum = 0.9}, &velocity), {{0.9, 0.7}, {0.61, 1.28}});
    CHECK(is_close(velocity[0], 2.9, kTolerance<T>));
    // Dampening leaves the first gradient whole: v = 1, then 0.9 + 0.5 * 2 = 1.9.
    check_steps<T>(sgd<T>({.lr = 0.1, .momentum = 0.9, .dampening = 0.5}), {{0.9, 0.7}, {0.71, 1.08}});
    // Nesterov: 1 + 0.9 = 1.9, then 2 + 0.9 * 2.9 = 4.61.
    check_steps<T>(sgd<T>({.lr = 0.1, .momentum = 0.9, .nesterov = true}), {{0.81, 0.88}, {0.349, 1.802}});
}

TEST_CASE_TEMPLATE("adam: two steps by hand, bias corrected", T, float, double) {
    for (const bool decoupled : {false, true}) {
        const double decay = 0.1;
        const AdamAttrs attrs{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = decay};
        Tensor w = tensor<T>({1, -2}, {2});
        Tensor m = Tensor::zeros({2}, kType<T>);
        Tensor v = Tensor::zeros({2}, kType<T>);
        const double gradients[2][2] = {{0.5, 3}, {-1, 0.25}};
        const double start[2] = {1, -2};
        std::vector<double> expected_w, expected_m, expected_v;
        for (size_t i = 0; i < 2; ++i) {
            // Unrolled over both steps: m2 = 0.2 (0.8 g1 + g2), v2 = 0.1 (0.9 g1^2 + g2^2).
            const double w0 = decoupled ? start[i] * (1 - 0.01 * decay) : start[i];
            const double g1 = gradients[0][i] + (decoupled ? 0 : decay * start[i]);
            const double w1 = w0 - 0.01 * g1 / (std::abs(g1) + 1e-3);  // the corrections cancel at t = 1
            const double g2 = gradients[1][i] + (decoupled ? 0 : decay * w1);
            expected_m.push_back(0.2 * (0.8 * g1 + g2));
            expected_v.push_back(0.1 * (0.9 * g1 * g1 + g2 * g2));
            const double m_hat = expected_m.back() / (1 - 0.64);
            const double v_hat = expected_v.back() / (1 - 0.81);
            const double decayed = decoupled ? w1 * (1 - 0.01 * decay) : w1;
            expected_w.push_back(decayed - 0.01 * m_hat / (std::sqrt(v_hat) + 1e-3));
        }
        for (int64_t step = 1; step <= 2; ++step) {
            AdamAttrs now = attrs;
            now.decoupled = decoupled;
            now.step = step;
            const Tensor g = tensor<T>({gradients[step - 1][0], gradients[step - 1][1]}, {2});
            reference_backend().adam_step(now, w, g, m, v);
        }
        check_values(w, expected_w, kTolerance<T>);
        check_values(m, expected_m, kTolerance<T>);
        check_values(v, expected_v, kTolerance<T>);
    }
}

TEST_CASE_TEMPLATE("adadelta: two steps by hand", T, float, double) {
    const AdadeltaAttrs attrs{.lr = 0.5, .rho = 0.75, .eps = 1e-2, .weight_decay = 0.1};
    Tensor w = tensor<T>({2}, {1});
    Tensor square_mean = Tensor::zeros({1}, kType<T>);
    Tensor delta_mean = Tensor::zeros({1}, kType<T>);
    // g' = 3.8 + 0.2 = 4, s = 0.25 * 16 = 4, d = sqrt(0.01 / 4.01) * 4, u = 0.25 d^2.
    reference_backend().adadelta_step(attrs, w, tensor<T>({3.8}, {1}), square_mean, delta_mean);
    const double d1 = 4 * std::sqrt(0.01 / 4.01);
    const double w1 = 2 - 0.5 * d1;
    check_values(w, {w1}, kTolerance<T>);
    check_values(square_mean, {4}, kTolerance<T>);
    check_values(delta_mean, {0.25 * d1 * d1}, kTolerance<T>);
    reference_backend().adadelta_step(attrs, w, tensor<T>({-1}, {1}), square_mean, delta_mean);
    const double g2 = -1 + 0.1 * w1;
    const double s2 = 0.75 * 4 + 0.25 * g2 * g2;
    const double u1 = 0.25 * d1 * d1;
    const double d2 = g2 * std::sqrt((u1 + 0.01) / (s2 + 0.01));
    check_values(w, {w1 - 0.5 * d2}, kTolerance<T>);
    check_values(square_mean, {s2}, kTolerance<T>);
    check_values(delta_mean, {0.75 * u1 + 0.25 * d2 * d2}, kTolerance<T>);
}
