#include "explain/concepts/cav.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/concepts/minimise.h"

namespace backlight {
namespace {

constexpr int64_t kFewest = 6;  // two of them are held out

/// Rows of one class, those of the held-out samples last.
struct Rows {
    std::vector<double> values;  // (training rows + test rows, D)
    size_t training = 0, testing = 0;
    int64_t samples_training = 0, samples_testing = 0;
};

Rows split(const Tensor& activations, const CavOptions& options, uint32_t which, const char* name) {
    const int64_t samples = activations.dim(0);
    BACKLIGHT_CHECK(samples >= kFewest, "cav: expected at least ", kFewest, " samples ", name, ", got ",
                    samples);
    const auto values = activations.to(DType::f64).to_vector<double>();
    BACKLIGHT_CHECK(std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); }),
                    "cav: activations of samples ", name, " are not finite");
    RandomStream random(RandomKey{
        .seed = options.seed, .purpose = purpose::kExplainer, .step = options.draw, .sample = which});
    const auto order = random.permutation(samples);
    const int64_t held_out =
        std::clamp<int64_t>(std::llround(options.test_share * static_cast<double>(samples)), 1, samples - 1);
    Rows rows{.samples_training = samples - held_out, .samples_testing = held_out};
    const size_t positions = activations.rank() == 3 ? static_cast<size_t>(activations.dim(1)) : 1;
    const size_t block = positions * static_cast<size_t>(activations.dim(-1));
    rows.values.reserve(values.size());
    for (const int64_t sample : order) {
        const auto begin = values.begin() + sample * static_cast<int64_t>(block);
        rows.values.insert(rows.values.end(), begin, begin + static_cast<int64_t>(block));
    }
    rows.training = static_cast<size_t>(rows.samples_training) * positions;
    rows.testing = static_cast<size_t>(held_out) * positions;
    return rows;
}

/// loss(t, s) for t = ±1 and its derivative in s.
struct Loss {
    double value, slope;
};
Loss loss_of(CavKind kind, double t, double s) {
    if (kind == CavKind::ridge) {
        return {0.5 * (s - t) * (s - t), s - t};
    }
    const double margin = t * s;
    if (kind == CavKind::svm) {
        const double short_of = std::max(0.0, 1 - margin);
        return {0.5 * short_of * short_of, -t * short_of};
    }
    const double e = std::exp(-std::abs(margin));
    const double value = std::log1p(e) + std::max(0.0, -margin);
    const double wrong = margin > 0 ? e / (1 + e) : 1 / (1 + e);  // 1 - σ(margin)
    return {value, -t * wrong};
}

/// Weight and, last, intercept.
std::vector<double> fit(const Rows& with, const Rows& without, size_t width, const CavOptions& options) {
    const bool intercept = options.intercept && options.kind != CavKind::svm;
    const auto objective = [&](std::span<const double> x, std::span<double> gradient) {
        double value = 0;
        for (size_t d = 0; d < width; ++d) {
            value += 0.5 * options.l2 * x[d] * x[d];
            gradient[d] = options.l2 * x[d];
        }
        gradient[width] = 0;
        for (const auto& [rows, t] : {std::pair(&with, 1.0), std::pair(&without, -1.0)}) {
            const double weight = 0.5 / static_cast<double>(rows->training);
            for (size_t n = 0; n < rows->training; ++n) {
                const double* a = rows->values.data() + n * width;
                const double s = std::inner_product(a, a + width, x.begin(), intercept ? x[width] : 0.0);
                const Loss loss = loss_of(options.kind, t, s);
                value += weight * loss.value;
                for (size_t d = 0; d < width; ++d) {
                    gradient[d] += weight * loss.slope * a[d];
                }
                gradient[width] += intercept ? weight * loss.slope : 0;
            }
        }
        return value;
    };
    return minimise(objective, std::vector<double>(width + 1, 0.0));
}

std::vector<double> mean_of(const Rows& rows, size_t width) {
    std::vector<double> mean(width, 0.0);
    for (size_t n = 0; n < rows.training; ++n) {
        for (size_t d = 0; d < width; ++d) {
            mean[d] += rows.values[n * width + d] / static_cast<double>(rows.training);
        }
    }
    return mean;
}

/// For labels 0 and 1 the covariance over the variance is the difference of the class means; the border lies
/// half-way.
std::vector<double> pattern(const Rows& with, const Rows& without, size_t width) {
    const auto high = mean_of(with, width), low = mean_of(without, width);
    std::vector<double> found(width + 1, 0.0);
    for (size_t d = 0; d < width; ++d) {
        found[d] = high[d] - low[d];
        found[width] -= 0.5 * found[d] * (high[d] + low[d]);
    }
    return found;
}

/// Share of held-out rows on the right side.
double share_right(const Rows& rows, const ConceptVector& v, double sign) {
    const size_t width = v.direction.size();
    size_t right = 0;
    for (size_t n = rows.training; n < rows.training + rows.testing; ++n) {
        const double* a = rows.values.data() + n * width;
        const double s = std::inner_product(a, a + width, v.direction.begin(), v.offset);
        right += s * sign > 0 ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(rows.testing);
}

}  // namespace

const std::vector<std::string>& list_cav_kinds() {
    static const std::vector<std::string> names = {"logistic", "ridge", "svm", "pattern"};
    return names;
}

CavKind parse_cav_kind(const std::string& name) {
    const auto& names = list_cav_kinds();
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
        throw_error(unknown_name("kind of concept vector", name, names));
    }
    return static_cast<CavKind>(found - names.begin());
}

ConceptVector concept_vector(const Tensor& with, const Tensor& without, const CavOptions& options) {
    BACKLIGHT_CHECK((with.rank() == 2 || with.rank() == 3) && with.rank() == without.rank() &&
                        with.dim(-1) == without.dim(-1) && with.dim(-1) > 0,
                    "cav: expected activations (N,D) or (N,P,D) with and without the concept, got ",
                    with.shape(), " and ", without.shape());
    BACKLIGHT_CHECK(options.test_share > 0 && options.test_share < 1,
                    "cav: expected a test share in (0, 1), got ", options.test_share);
    BACKLIGHT_CHECK(options.l2 >= 0, "cav: expected l2 >= 0, got ", options.l2);
    const auto width = static_cast<size_t>(with.dim(-1));
    const Rows positive = split(with, options, 0, "with the concept");
    const Rows negative = split(without, options, 1, "without the concept");
    std::vector<double> found = options.kind == CavKind::pattern ? pattern(positive, negative, width)
                                                                 : fit(positive, negative, width, options);
    ConceptVector v{.offset = found[width],
                    .trained_on = positive.samples_training + negative.samples_training,
                    .tested_on = positive.samples_testing + negative.samples_testing};
    found.resize(width);
    v.direction = std::move(found);
    const double length =
        std::sqrt(std::inner_product(v.direction.begin(), v.direction.end(), v.direction.begin(), 0.0));
    BACKLIGHT_CHECK(length > 1e-12,
                    "cav: the activations with the concept do not differ from those without it");
    for (double& value : v.direction) {
        value /= length;
    }
    v.offset /= length;
    v.accuracy = 0.5 * (share_right(positive, v, 1) + share_right(negative, v, -1));
    return v;
}

Tensor pooled_activations(const Tensor& activations, ActivationPooling pooling) {
    BACKLIGHT_CHECK(activations.rank() >= 2, "cav: expected activations (N,...,C), got ",
                    activations.shape());
    const NoGrad off;
    const Variable a = activations.to(DType::f64);
    if (a.rank() == 2) {
        return a.data();
    }
    const Variable rows = reshape(a, {a.dim(0), -1, a.dim(-1)});
    return pooling == ActivationPooling::average ? mean(rows, {1}).data() : rows.data();
}

Variable project_out(const Variable& activations, const Variable& direction, const Variable& reference) {
    const Variable along = sum((activations - reference) * direction, {-1}, true);
    return activations - along * direction;
}

Variable concept_sensitivity(const Variable& gradient, const Variable& direction) {
    return sum(flatten(gradient * direction), {1});
}

}  // namespace backlight
