// Softmax, normalisation, losses, dropout.
#include "core/error.h"
#include "tests/autograd/op_cases.h"

namespace backlight::test {
namespace {

Tensor labels(std::initializer_list<int64_t> values) {
    return Tensor::from<int64_t>(values, Shape{static_cast<int64_t>(values.size())});
}

void softmaxes(std::vector<OpCase>& cases) {
    for (const Shape& shape :
         {Shape{2, 4}, Shape{3}, Shape{2, 2, 3}, Shape{3, 1}, Shape{0, 3}, Shape{2, 19}}) {
        const std::string variant = concat_text("shape ", shape);
        cases.push_back(
            {"softmax", variant, {{.shape = shape}}, [](const Variables& v) { return softmax(v[0]); }});
        cases.push_back({"log_softmax", variant, {{.shape = shape}}, [](const Variables& v) {
                             return log_softmax(v[0]);
                         }});
    }
    const Draw large{.shape = {2, 3}, .low = 300, .high = 303};  // exp would overflow
    cases.push_back({"softmax", "large logits", {large}, [](const Variables& v) { return softmax(v[0]); }});
    cases.push_back(
        {"log_softmax", "large logits", {large}, [](const Variables& v) { return log_softmax(v[0]); }});
}

void normalisations(std::vector<OpCase>& cases) {
    const Draw positive{.low = 0.5, .high = 1.5};
    for (const Shape& shape :
         {Shape{5, 3}, Shape{2, 2, 3, 2}, Shape{4, 1}, Shape{2, 3, 2}, Shape{1, 3, 2, 2}, Shape{6, 17}}) {
        const std::string variant = concat_text("shape ", shape);
        const Draw x{.shape = shape};
        Draw scale = positive;
        scale.shape = {shape[-1]};
        const Draw shift{.shape = scale.shape};
        cases.push_back({"batch_norm", variant, {x, scale, shift}, [](const Variables& v) {
                             BatchStatistics statistics;
                             return batch_norm(v[0], v[1], v[2], 1e-3, statistics);
                         }});
        cases.push_back({"batch_norm_relu", variant, {x, scale, shift}, [](const Variables& v) {
                             BatchStatistics statistics;
                             return batch_norm_relu(v[0], v[1], v[2], 1e-3, statistics);
                         }});
        cases.push_back(
            {"batch_norm_relu", variant + " with a residual", {x, scale, shift, x}, [](const Variables& v) {
                 BatchStatistics statistics;
                 return batch_norm_relu(v[0], v[1], v[2], 1e-3, statistics, v[3]);
             }});
        cases.push_back({"batch_norm_affine", variant, {x, scale, shift}, [](const Variables& v) {
                             const int64_t channels = v[0].dim(-1);
                             std::vector<double> mean, variance;
                             for (int64_t c = 0; c < channels; ++c) {
                                 mean.push_back(0.25 * static_cast<double>(c) - 0.5);
                                 variance.push_back(0.3 + 0.2 * static_cast<double>(c));
                             }
                             return batch_norm_affine(v[0], v[1], v[2], constant_like(v[0], mean, {channels}),
                                                      constant_like(v[0], variance, {channels}), 1e-3);
                         }});
    }
    cases.push_back({"batch_norm_affine",
                     "empty batch",
                     {{.shape = {0, 2}}, {.shape = {2}}, {.shape = {2}}},
                     [](const Variables& v) {
                         return batch_norm_affine(v[0], v[1], v[2], constant_like(v[0], {1, 2}, {2}),
                                                  constant_like(v[0], {1, 2}, {2}), 1e-3);
                     }});
    for (const Shape& shape : {Shape{3, 4}, Shape{2, 2, 5}, Shape{1, 2, 2, 3}, Shape{0, 3}, Shape{3, 19}}) {
        Draw scale = positive;
        scale.shape = {shape[-1]};
        cases.push_back({"layer_norm",
                         concat_text("shape ", shape),
                         {{.shape = shape}, scale, {.shape = scale.shape}},
                         [](const Variables& v) { return layer_norm(v[0], v[1], v[2], 1e-3); }});
    }
}

void group_norms(std::vector<OpCase>& cases) {
    struct Row {
        Shape shape;
        int64_t groups;
    };
    for (const Row& row :
         {Row{{2, 3, 2, 4}, 2}, Row{{3, 4}, 2}, Row{{1, 2, 2, 3}, 3}, Row{{2, 2, 3}, 1}, Row{{0, 2, 4}, 2}}) {
        const Draw scale{.shape = {row.shape[-1]}, .low = 0.4, .high = 2.0};
        cases.push_back({"group_norm",
                         concat_text("shape ", row.shape, ", groups ", row.groups),
                         {{.shape = row.shape}, scale, {.shape = scale.shape}},
                         [groups = row.groups](const Variables& v) {
                             return group_norm(v[0], groups, v[1], v[2], 1e-3);
                         }});
    }
}

void losses(std::vector<OpCase>& cases) {
    const Draw logits{.shape = {4, 3}};
    const auto target = [] { return labels({2, 0, 2, 1}); };
    cases.push_back({"cross_entropy", "plain", {logits}, [target](const Variables& v) {
                         return cross_entropy(v[0], target());
                     }});
    cases.push_back({"cross_entropy", "label smoothing", {logits}, [target](const Variables& v) {
                         return cross_entropy(v[0], target(), 0.1);
                     }});
    cases.push_back({"cross_entropy", "class weights", {logits}, [target](const Variables& v) {
                         return cross_entropy(v[0], target(), 0, constant_like(v[0], {0.5, 2, 1.25}, {3}));
                     }});
    cases.push_back(
        {"cross_entropy", "label smoothing and class weights", {logits}, [target](const Variables& v) {
             return cross_entropy(v[0], target(), 0.2, constant_like(v[0], {0.5, 2, 1.25}, {3}));
         }});
    cases.push_back({"cross_entropy_sum", "label smoothing", {logits}, [target](const Variables& v) {
                         return cross_entropy_sum(v[0], target(), 0.1);
                     }});
    cases.push_back(
        {"cross_entropy_sum", "label smoothing and class weights", {logits}, [target](const Variables& v) {
             return cross_entropy_sum(v[0], target(), 0.2, constant_like(v[0], {0.5, 0, 1.25}, {3}));
         }});
    cases.push_back({"cross_entropy", "one sample, one class", {{.shape = {1, 1}}}, [](const Variables& v) {
                         return cross_entropy(v[0], labels({0}));
                     }});
    for (const Shape& shape : {Shape{3, 2}, Shape{1}, Shape{2, 2, 2, 1}}) {
        const std::string variant = concat_text("shape ", shape);
        cases.push_back({"binary_cross_entropy_with_logits",
                         variant,
                         {{.shape = shape, .low = -4, .high = 4}, {.shape = shape, .low = 0, .high = 1}},
                         [](const Variables& v) { return binary_cross_entropy_with_logits(v[0], v[1]); }});
        cases.push_back({"binary_cross_entropy_with_logits",
                         variant + " weighted",
                         {{.shape = shape, .low = -4, .high = 4}, {.shape = shape, .low = 0, .high = 1}},
                         [](const Variables& v) {
                             std::vector<double> weight;
                             for (int64_t i = 0; i < v[0].numel(); ++i) {
                                 weight.push_back(static_cast<double>((i + 1) % 4));
                             }
                             return binary_cross_entropy_with_logits(v[0], v[1],
                                                                     Tensor::from(weight, v[0].shape()));
                         }});
        cases.push_back({"mse_loss", variant, {{.shape = shape}, {.shape = shape}}, [](const Variables& v) {
                             return mse_loss(v[0], v[1]);
                         }});
    }
}

void dropouts(std::vector<OpCase>& cases) {
    const RandomKey key{.seed = 11, .purpose = 5, .step = 3, .sample = 2};
    for (const double p : {0.0, 0.5, 0.9}) {
        cases.push_back({"dropout",
                         concat_text("p ", p),
                         {{.shape = {3, 7}}},
                         [p, key](const Variables& v) { return dropout(v[0], p, key) * v[0]; },
                         p == 0.0});
    }
    cases.push_back({"dropout", "empty batch", {{.shape = {0, 7}}}, [key](const Variables& v) {
                         return dropout(v[0], 0.5, key);
                     }});
}

}  // namespace

void add_row_cases(std::vector<OpCase>& cases) {
    softmaxes(cases);
    normalisations(cases);
    group_norms(cases);
    losses(cases);
    dropouts(cases);
}

}  // namespace backlight::test
