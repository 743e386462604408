// Recomputation: the same bits as without, statistics that move once, nothing kept inside a segment.
#include "layers/recompute.h"

#include "autograd/grad.h"
#include "autograd/precision.h"
#include "autograd/recording.h"
#include "models/model.h"
#include "tests/layers/support.h"
#include "train/optimizer.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

/// Two segments and a rest; batch norm and dropout in both segments.
std::unique_ptr<Module> network() {
    auto net = std::make_unique<Sequential>();
    for (const int64_t in : {2, 3}) {
        net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = in, .out = 3, .attrs = {.padding = {1, 1}}}));
        net->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
        net->add(make_relu());
        net->add(std::make_unique<Dropout>(0.4)).end_segment();
    }
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 48, .out = 4}));
    initialize(*net, Init::he_normal, 5);
    return net;
}

Tensor picture(const Shape& shape, uint64_t seed) {
    Tensor x = Tensor::empty(shape);
    x.backend().random_normal(x, {.seed = seed});
    return x;
}

/// Losses of three steps, then all parameters and buffers.
std::vector<Tensor> train_three_steps(Module& net, const Shape& shape, bool recomputed) {
    CHECK((net.set_recompute(recomputed) > 0));
    net.train();
    const auto optimizer = make_optimizer({.name = "sgd", .momentum = 0.9}, net.parameters());
    std::vector<Tensor> seen;
    for (uint64_t step = 0; step < 3; ++step) {
        RandomContext::current().begin_step(7, step);
        const Variable loss =
            cross_entropy(net(Variable(picture(shape, step))), tensor({1, 0, 3}, {3}, DType::i64));
        net.zero_grad();
        backward(loss);
        optimizer->step(0.001);
        REQUIRE(std::isfinite(loss.item()));
        seen.push_back(loss.data());
    }
    for (const Parameter& parameter : net.parameters()) {
        seen.push_back(parameter.value.data());
    }
    for (const Buffer& buffer : net.buffers()) {
        seen.push_back(*buffer.value);
    }
    return seen;
}

void check_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CHECK(equal(a[i], b[i]));
    }
}

}  // namespace

TEST_CASE("recompute: three steps give the same bits, dropout and running statistics included") {
    const auto plain = network(), recomputed = network();
    const auto expected = train_three_steps(*plain, {3, 4, 4, 2}, false);
    check_same(train_three_steps(*recomputed, {3, 4, 4, 2}, true), expected);
    CHECK(buffer(*recomputed, "1.num_batches_tracked").item() == 3);
    const uint32_t draws = RandomContext::current().draws;
    CHECK(draws == 2);  // of the last step: replays took none
}

TEST_CASE("recompute: families of networks give the same bits") {
    for (const std::string spec : {"resnet18(small=true, classes=4)", "resnet50(small=true, classes=4)",
                                   "vgg11(small=true, classes=4)", "vgg11_bn(small=true, classes=4)",
                                   "efficientnet_lite0(classes=4)"}) {
        CAPTURE(spec);
        const Model plain = build_model(spec), recomputed = build_model(spec);
        const auto expected = train_three_steps(*plain.net, {3, 32, 32, 3}, false);
        check_same(train_three_steps(*recomputed.net, {3, 32, 32, 3}, true), expected);
    }
}

TEST_CASE("recompute: in mixed precision too, after its scope has ended") {
    const auto gradients = [](bool recomputed) {
        const Model model = build_model("resnet18(small=true, classes=4)");
        (void)model.net->set_recompute(recomputed);
        Variable y;
        {
            const PrecisionScope scope(DType::bf16);
            y = sum(square((*model.net)(Variable(picture({2, 32, 32, 3}, 6)))));
        }
        backward(y);
        std::vector<Tensor> found;
        for (const Parameter& parameter : model.net->parameters()) {
            found.push_back(parameter.value.grad());
        }
        return found;
    };
    check_same(gradients(true), gradients(false));
}

TEST_CASE("recompute: a segment is one node that keeps its input; what is frozen stays so") {
    const auto net = network();
    CHECK(net->set_recompute(true) == 2);
    CHECK(net->freeze("0.*") == 2);
    const Variable y = (*net)(Variable(picture({3, 4, 4, 2}, 1)));
    const NodePtr flatten = y.node()->inputs[0].node();
    const NodePtr second = flatten->inputs[0].node(), first = second->inputs[0].node();
    CHECK(second->op->kind() == "recompute");
    CHECK(first->op->kind() == "recompute");
    CHECK(second->inputs.size() == 5);  // x, two of the convolution, two of the norm
    CHECK_FALSE(second->output.has_data());
    backward(sum(y));
    CHECK(parameter(*net, "1.weight").grad().defined());
    CHECK(parameter(*net, "4.weight").grad().defined());
    CHECK_FALSE(parameter(*net, "0.weight").requires_grad());
    CHECK(net->set_recompute(false) == 2);
    CHECK((*net)(Variable(picture({3, 4, 4, 2}, 1))).node()->inputs[0].node()->op->kind() == "reshape");
}

TEST_CASE("recompute: the gradient of the input is that of the plain run") {
    const auto plain = network(), recomputed = network();
    (void)recomputed->set_recompute(true);
    const Variable x = Variable::leaf(picture({3, 4, 4, 2}, 2));
    RandomContext::current().begin_step(7, 0);
    const Variable expected = grad(sum((*plain)(x)), {}, {x})[0];
    RandomContext::current().begin_step(7, 0);
    CHECK(equal(grad(sum((*recomputed)(x)), {}, {x})[0].data(), expected.data()));
}

TEST_CASE("recompute: a second derivative is refused; recordings, evaluation and no history run plainly") {
    const auto net = network();
    (void)net->set_recompute(true);
    const Variable x = Variable::leaf(picture({3, 4, 4, 2}, 3));
    const std::string text = error_of([&] { (void)grad(sum((*net)(x)), {}, {x}, {.create_graph = true}); });
    CHECK(contains(text, "recompute: a recomputed segment has no second derivative"));
    {
        const Recording recording;
        const Variable y = sum((*net)(x));
        CHECK(recording.layers().at("4").defined());
        CHECK(grad(y, {}, {x}, {.create_graph = true})[0].requires_grad());
    }
    {
        const NoGrad off;
        CHECK_FALSE((*net)(x).requires_grad());
    }
    net->eval();
    CHECK(grad(sum((*net)(x)), {}, {x}, {.create_graph = true})[0].defined());
}

TEST_CASE("recompute: weights that changed before the backward pass are refused") {
    const auto net = network();
    (void)net->set_recompute(true);
    const Variable y = sum((*net)(Variable(picture({3, 4, 4, 2}, 4))));
    set(*net, "4.bias", {1, 2, 3});
    CHECK(contains(error_of([&] { backward(y); }), "recompute: input 2"));
}
