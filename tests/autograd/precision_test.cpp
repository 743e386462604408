// Mixed precision: which values are bfloat16, and that gradients come out as those of float, rounded.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/random.h"
#include "layers/layers.h"
#include "models/model.h"

using namespace backlight;

namespace {

Tensor normal(const Shape& shape, uint32_t stream) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    RandomStream(RandomKey{.seed = 5, .step = stream}).fill_normal(values);
    return Tensor::from(values, shape);
}

/// |a - b| / |b|, both as vectors.
double distance(const Tensor& a, const Tensor& b) {
    const auto x = a.to(DType::f64).to_vector<double>();
    const auto y = b.to(DType::f64).to_vector<double>();
    REQUIRE(x.size() == y.size());
    double difference = 0;
    double size = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        difference += (x[i] - y[i]) * (x[i] - y[i]);
        size += y[i] * y[i];
    }
    return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("precision: inside the scope convolutions give bfloat16, other ops are given float") {
    const Variable x = Variable::leaf(normal({2, 6, 6, 3}, 0));
    const Variable weight = Variable::leaf(normal({4, 3, 3, 3}, 1));
    const Variable bias = Variable::leaf(normal({4}, 2));
    Variable y, pooled, activated, loss;
    {
        const PrecisionScope scope(DType::bf16);
        y = conv2d(x, weight, bias);
        activated = relu(y);
        pooled = max_pool2d(activated, {.kernel = {2, 2}, .stride = {2, 2}});
        CHECK(conv2d(Variable(x.data().to(DType::f64)), Variable(weight.data().to(DType::f64))).dtype() ==
              DType::f64);
        loss = sum(square(pooled));
    }
    CHECK(y.dtype() == DType::bf16);
    CHECK(activated.dtype() == DType::bf16);
    CHECK(pooled.dtype() == DType::bf16);
    CHECK(square(pooled).dtype() == DType::f32);
    CHECK(loss.dtype() == DType::f32);
    CHECK(conv2d(x, weight, bias).dtype() == DType::f32);  // the scope is over
    CHECK(linear(flatten(pooled), Variable(normal({5, 16}, 3))).dtype() == DType::f32);
    const Variables d = grad(loss, {}, {x, weight, bias});
    const Variable plain =
        sum(square(max_pool2d(relu(conv2d(x, weight, bias)), {.kernel = {2, 2}, .stride = {2, 2}})));
    const Variables expected = grad(plain, {}, {x, weight, bias});
    for (size_t i = 0; i < d.size(); ++i) {
        CAPTURE(i);
        CHECK(d[i].dtype() == DType::f32);
        CHECK(distance(d[i].data(), expected[i].data()) < 0.05);
        CHECK(distance(d[i].data(), expected[i].data()) > 0);
    }
    CHECK_THROWS_AS(PrecisionScope(DType::f64), Error);
}

TEST_CASE("precision: a derivative has the type of what it is of, also at second order") {
    const Variable x = Variable::leaf(normal({1, 4, 4, 2}, 3).to(DType::bf16));
    const Variable weight = Variable::leaf(normal({3, 3, 3, 2}, 4));
    const Variable y = conv2d(x, weight);
    CHECK(y.dtype() == DType::bf16);
    const Variable loss = sum(square(y));
    const Variables first = grad(loss, {}, {x, weight}, {.create_graph = true});
    CHECK(first[0].dtype() == DType::bf16);
    CHECK(first[1].dtype() == DType::f32);
    const Variables second = grad(sum(square(first[0])) + sum(square(first[1])), {}, {x, weight});
    CHECK(second[0].dtype() == DType::bf16);
    CHECK(second[1].dtype() == DType::f32);
    const Variable wide = Variable::leaf(x.data().to(DType::f32));
    const Variable plain = sum(square(conv2d(wide, weight)));
    const Variables plain_first = grad(plain, {}, {wide, weight}, {.create_graph = true});
    const Variables plain_second =
        grad(sum(square(plain_first[0])) + sum(square(plain_first[1])), {}, {wide, weight});
    CHECK(distance(second[1].data(), plain_second[1].data()) < 0.05);
    CHECK(distance(second[0].data(), plain_second[0].data()) < 0.05);
}

TEST_CASE("precision: gradients of a residual network are those of float, rounded") {
    const Tensor x = normal({4, 16, 16, 3}, 6);
    const Tensor labels = Tensor::from<int64_t>({0, 1, 2, 3}, {4});
    std::vector<Tensor> plain;
    for (const DType precision : {DType::f32, DType::bf16}) {
        Model model = build_model("resnet18(small=true)", 10, 1);
        model.net->train();
        const PrecisionScope scope(precision);
        const Variable logits = (*model.net)(Variable(x));
        CHECK(logits.dtype() == DType::f32);
        backward(cross_entropy(logits, labels));
        size_t at = 0;
        for (const Parameter& parameter : model.net->parameters()) {
            const Tensor& gradient = parameter.value.grad();
            CHECK(gradient.dtype() == DType::f32);
            if (precision == DType::f32) {
                plain.push_back(gradient);
            } else if (parameter.name == "fc.weight" || parameter.name == "layer4.1.conv2.weight") {
                CAPTURE(parameter.name);
                CHECK(distance(gradient, plain[at]) < 0.3);  // 20 layers and small batches
            }
            ++at;
        }
    }
}

TEST_CASE("precision: the fused path of evaluation computes on bfloat16 too") {
    Model model = build_model("resnet18(small=true)", 10, 1);
    model.net->train(false);
    const Variable x = normal({2, 16, 16, 3}, 7);
    const NoGrad off;
    const Tensor plain = (*model.net)(x).data();
    const PrecisionScope scope(DType::bf16);
    const Tensor narrow = (*model.net)(x).data();
    CHECK(narrow.dtype() == DType::f32);
    CHECK(distance(narrow, plain) < 0.05);
    CHECK(distance(narrow, plain) > 0);
}
