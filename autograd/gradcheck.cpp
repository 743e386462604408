#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

Tensor random_normal(const Tensor& like, RandomStream& random) {
    std::vector<double> values(static_cast<size_t>(like.numel()));
    for (double& value : values) {
        value = random.normal();
    }
    return Tensor::from(values, like.shape(), like.device());
}

std::vector<double> host_values(const Variable& v) { return v.data().to_vector<double>(); }

/// One coordinate of one input moved; the others are shared.
Variables moved(const Variables& inputs, size_t input, std::vector<double> values, size_t entry, double to) {
    Variables changed = inputs;
    values[entry] = to;
    changed[input] =
        Variable::leaf(Tensor::from(values, inputs[input].shape(), inputs[input].data().device()));
    return changed;
}

/// <a - b, c>: the difference first, so that what does not change cannot drown what does.
double projected_difference(const std::vector<double>& a, const std::vector<double>& b,
                            const std::vector<double>& c) {
    double total = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        total += (a[i] - b[i]) * c[i];
    }
    return total;
}

void compare(GradcheckReport& report, const GradcheckOptions& options, int input, int64_t entry,
             double analytic, double numeric) {
    const double allowed =
        options.absolute + options.relative * std::max(std::abs(analytic), std::abs(numeric));
    double error = std::abs(analytic - numeric) / allowed;
    if (!std::isfinite(error)) {
        error = std::numeric_limits<double>::infinity();
    }
    ++report.checked;
    if (report.entry < 0 || error > report.error) {
        report.input = input;
        report.entry = entry;
        report.analytic = analytic;
        report.numeric = numeric;
        report.error = error;
        report.passed = error <= 1.0;
    }
}

Variables analytic_gradients(const Variable& y, const Variable& cotangent, const Variables& inputs) {
    return y.requires_grad() ? grad(y, cotangent, inputs, {.allow_unused = true}) : Variables(inputs.size());
}

}  // namespace

GradcheckReport gradcheck(const DifferentiableFunction& f, const Variables& inputs,
                          const GradcheckOptions& options) {
    for (const Variable& input : inputs) {
        BACKLIGHT_CHECK(input.dtype() == DType::f64 && input.requires_grad(),
                        "gradcheck: expected float64 leaves, got ", input.dtype(), ' ', input.shape(),
                        input.requires_grad() ? "" : " without a history");
    }
    const EnableGrad enabled;
    const Variable y = f(inputs);
    BACKLIGHT_CHECK(y.defined() && y.dtype() == DType::f64,
                    "gradcheck: expected a function with a float64 result, got ", y.dtype());
    RandomStream random(options.seed);
    const Variable cotangent = random_normal(y.data(), random);
    const std::vector<double> weights = host_values(cotangent);
    const Variables gradients = analytic_gradients(y, cotangent, inputs);

    GradcheckReport report;
    report.seed = options.seed;
    for (size_t k = 0; k < inputs.size(); ++k) {
        const std::vector<double> x = host_values(inputs[k]);
        const std::vector<double> d_x =
            gradients[k].defined() ? host_values(gradients[k]) : std::vector<double>(x.size());
        const auto count = static_cast<int64_t>(x.size());
        const bool all = options.max_entries <= 0 || options.max_entries >= count;
        for (const int64_t entry : random.sample(count, all ? count : options.max_entries)) {
            const auto i = static_cast<size_t>(entry);
            const double above = x[i] + options.step;
            const double below = x[i] - options.step;
            const double difference =
                projected_difference(host_values(f(moved(inputs, k, x, i, above))),
                                     host_values(f(moved(inputs, k, x, i, below))), weights);
            compare(report, options, static_cast<int>(k), entry, d_x[i], difference / (above - below));
        }
    }
    return report;
}

GradcheckReport gradgradcheck(const DifferentiableFunction& f, const Variables& inputs,
                              const GradcheckOptions& options) {
    Variables extended = inputs;
    {
        const EnableGrad enabled;
        RandomStream random(RandomKey{.seed = options.seed, .step = 1});
        extended.push_back(Variable::leaf(random_normal(f(inputs).data(), random)));
    }
    const auto gradients = [&f](const Variables& extended_inputs) -> Variable {
        const Variables x(extended_inputs.begin(), extended_inputs.end() - 1);
        const Variable y = f(x);
        Variables parts;
        if (y.requires_grad()) {
            for (const Variable& d_x :
                 grad(y, extended_inputs.back(), x, {.create_graph = true, .allow_unused = true})) {
                if (d_x.defined()) {
                    parts.push_back(reshape(d_x, Shape{d_x.numel()}));
                }
            }
        }
        return parts.empty() ? Variable(Tensor::zeros({}, DType::f64)) : concat(parts, 0);
    };
    return gradcheck(gradients, extended, options);
}

std::string to_string(const GradcheckReport& report) {
    return concat_text("input ", report.input, " entry ", report.entry, ": analytic ", report.analytic,
                       ", numeric ", report.numeric, " (error ", report.error, " of what is allowed; ",
                       report.checked, " entries, seed ", report.seed, ")");
}

}  // namespace backlight
