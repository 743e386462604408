// The feature hook of gradient augmentation and masks on feature gradients: closed forms, strength zero,
// wrong use.
#include <cmath>

#include "augment/gradient/scale_gradient.h"
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "tests/augment/step.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

using Values = std::vector<double>;

Values values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

void check_near(const Values& found, const Values& expected, double tolerance = 1e-12) {
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(found[i] - expected[i]) <= tolerance);
    }
}

Variable leaf(const Values& values, const Shape& shape) {
    return Variable::leaf(Tensor::from(values, shape));
}

/// linear 3 -> 4, linear 4 -> 2 without a bias between: the output of "0" is what a mask sees.
std::unique_ptr<Sequential> two_layers() {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 4}));
    net->add(std::make_unique<Linear>(Linear::Config{.in = 4, .out = 2}));
    test::randomize(*net, 31);
    return net;
}

/// conv ReLU, conv ReLU, flatten, linear on 4x4x1.
std::unique_ptr<Sequential> small_cnn() {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 1, .out = 2, .attrs = {.padding = {1, 1}}}))
        .add(make_relu());
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}))
        .add(make_relu());
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 48, .out = 3}));
    test::randomize(*net, 32);
    return net;
}

/// Gradients of the mean loss of the hand step, with the system (null: without).
std::vector<Values> gradients(HandStep& hand, Augmentation* system) {
    if (system != nullptr) {
        system->begin(hand.run);
        system->before_forward(hand.step);
    }
    hand.model.net->zero_grad();
    hand.forward(system != nullptr ? std::vector<Augmentation*>{system} : std::vector<Augmentation*>{});
    backward(cross_entropy(hand.step.logits, hand.batch.label));
    std::vector<Values> found;
    for (const Parameter& p : hand.model.net->parameters()) {
        found.push_back(values_of(p.value.grad()));
    }
    return found;
}

std::vector<Values> gradients(HandStep& hand, const std::string& spec) {
    return gradients(hand, build_augmentation(spec).get());
}

/// A set of 4x4 pictures whose left half is the object, and its right column the decoy.
void add_masks(HandStep& hand) {
    const auto n = static_cast<size_t>(hand.batch.size());
    std::vector<float> object, decoy;
    for (size_t i = 0; i < n * 16; ++i) {
        object.push_back(i % 4 < 2 ? 1.0f : 0.0f);
        decoy.push_back(i % 4 == 3 ? 1.0f : 0.0f);
    }
    auto set = std::make_shared<InMemoryDataset>(Shape{4, 4, 1}, std::vector<float>(n * 16, 0.0f),
                                                 hand.batch.label.to_vector<int64_t>(), numbered_classes(3));
    set->set_masks(object);
    set->set_decoy_masks(decoy);
    hand.run.data = set;
    hand.batch.mask = Tensor::from(object, {hand.batch.size(), 4, 4});
    hand.batch.decoy_mask = Tensor::from(decoy, {hand.batch.size(), 4, 4});
}

}  // namespace

TEST_CASE("scale_gradient: doubled at the input of y = W x, only what lies below sees it") {
    const Variable w = leaf({1, 2, 3, 4}, {2, 2}), x = leaf({5, 6}, {1, 2});
    const auto both = [&](const Variable& at) { return grad(sum(square(linear(at, w))), {}, {w, x}); };
    const Variables plain = both(x);
    const Variables doubled = both(scale_gradient(x, Tensor::from(Values{2}, {1})));
    CHECK(values_of(doubled[0].data()) == values_of(plain[0].data()));
    CHECK(values_of(doubled[1].data()) == values_of((plain[1] * 2.0).data()));
}

TEST_CASE("scale_gradient: a factor of zero on a unit stops its row of the layer below and no more") {
    const Variable below = leaf({1, 2, 3, 4, 5, 6}, {3, 2}), above = leaf({1, -1, 2}, {1, 3}),
                   x = leaf({1, 2}, {1, 2});
    const auto both = [&](bool hooked) {
        const Variable h = linear(x, below);
        const Variable at = hooked ? scale_gradient(h, Tensor::from(Values{1, 0, 1}, {1, 3})) : h;
        return grad(sum(linear(at, above)), {}, {below, above});
    };
    const Variables plain = both(false), hooked = both(true);
    CHECK(values_of(hooked[0].data()) == Values{1, 2, 0, 0, 2, 4});
    CHECK(values_of(plain[0].data()) == Values{1, 2, -1, -2, 2, 4});
    CHECK(values_of(hooked[1].data()) == values_of(plain[1].data()));
}

TEST_CASE(
    "scale_gradient: the value is x; a gradient with a history passes; a factor that does not fit is told") {
    const Variable x = leaf({1, 2}, {1, 2});
    const Variable y = scale_gradient(x, Tensor::from(Values{0, 3}, {2}));
    CHECK(values_of(y.data()) == Values{1, 2});
    const Variable g = grad(sum(square(y)), {}, {x}, {.create_graph = true})[0];
    CHECK(values_of(g.data()) == Values{2, 4});
    CHECK(values_of(grad(sum(g), {}, {x})[0].data()) ==
          Values{0, 6});  // the derivative of 2 y, scaled on its way
    CHECK(contains(error_of([&] { (void)scale_gradient(x, Tensor::zeros({3})); }), "scale_gradient"));
    CHECK(contains(error_of([&] {
                       (void)scale_gradient(x, Tensor::zeros({4, 2}));
                   }),
                   "does not broadcast to (1, 2)"));
}

TEST_CASE("gradient_mask: a linear head has the mask minmax |w|, the same for all samples of a class") {
    const Tensor x = test::random_tensor({4, 3}, 41);
    HandStep hand(two_layers(), x, {1, 1, 1, 1}, 2);
    const auto plain = gradients(hand, nullptr);
    const auto masked =
        gradients(hand, "gradient_mask(layer=0, lambda=0.5, explainer=saliency(reduce=none))");
    const Values w = values_of(hand.model.net->parameters()[2].value.data());  // (2,4), class 1
    double low = 1e9, high = 0;
    for (size_t j = 0; j < 4; ++j) {
        low = std::min(low, std::abs(w[4 + j]));
        high = std::max(high, std::abs(w[4 + j]));
    }
    Values expected = plain[0];
    for (size_t j = 0; j < 4; ++j) {
        const double factor = 1 + 0.5 * (std::abs(w[4 + j]) - low) / (high - low);
        for (size_t i = 0; i < 3; ++i) {
            expected[j * 3 + i] *= factor;
        }
    }
    check_near(masked[0], expected);
    CHECK(masked[2] == plain[2]);  // above the hook
    CHECK(masked[3] == plain[3]);
}

TEST_CASE(
    "gradient_mask: a mask of ones multiplies the gradients below by 1 + lambda, no mask turns a sign") {
    HandStep hand(small_cnn(), test::random_tensor({3, 4, 4, 1}, 42), {0, 1, 2}, 3);
    add_masks(hand);
    hand.batch.mask = Tensor::ones({3, 4, 4}, DType::f32);
    const auto plain = gradients(hand, nullptr);
    const auto masked = gradients(hand, "gradient_mask(layer=3, lambda=0.5, mask=object)");
    for (const size_t below : {0, 1, 2, 3}) {
        Values expected = plain[below];
        for (double& g : expected) {
            g *= 1.5;
        }
        check_near(masked[below], expected);
    }
    CHECK(masked[4] == plain[4]);
    CHECK(masked[5] == plain[5]);

    const auto at_layer = [&](const std::string& spec) {  // what leaves the hook
        const auto system = build_augmentation(spec);
        system->begin(hand.run);
        system->before_forward(hand.step);
        const Variable features = Variable::leaf(Tensor::ones({3, 4, 4, 3}, DType::f64));
        return values_of(
            grad(sum(system->change_features(hand.step, "3", features)), {}, {features})[0].data());
    };
    for (const std::string options :
         {"", ", mode=multiply", ", explainer=epsilon_plus", ", control=random"}) {
        for (const double factor : at_layer("gradient_mask(layer=3" + options + ")")) {
            CHECK(factor >= 0);
            CHECK(factor <= 1.2 + 1e-6);
        }
    }
}

TEST_CASE("gradient_mask: masks of the data stop the gradient elsewhere, in a smaller layer by area") {
    HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 43), {0, 2}, 3);
    add_masks(hand);
    const auto factor_at = [&](const std::string& spec, const std::string& layer, const Shape& shape) {
        const auto system = build_augmentation(spec);
        system->begin(hand.run);
        system->before_forward(hand.step);
        const Variable features = Variable::leaf(Tensor::ones(shape, DType::f64));
        const Variable sent =
            grad(sum(system->change_features(hand.step, layer, features)), {}, {features})[0];
        return values_of(slice(slice(sent, 0, 0, 1), 1, 0, 1).data());  // the first row of the first sample
    };
    const Shape at1{2, 4, 4, 2};
    CHECK(factor_at("gradient_mask(layer=1, mask=object, mode=multiply)", "1", at1) ==
          Values{1, 1, 1, 1, 0, 0, 0, 0});
    CHECK(factor_at("gradient_mask(layer=1, mask=decoy, mode=multiply)", "1", at1) ==
          Values{1, 1, 1, 1, 1, 1, 0, 0});
    CHECK(factor_at("gradient_mask(layer=1, mask=object, lambda=2)", "1", at1) ==
          Values{3, 3, 3, 3, 1, 1, 1, 1});
    // Controls: as much in all; the same values elsewhere.
    check_near(factor_at("gradient_mask(layer=1, mask=object, mode=multiply, control=constant)", "1", at1),
               Values(8, 0.5));
    const auto shuffled =
        factor_at("gradient_mask(layer=1, mask=object, mode=multiply, control=shuffled)", "1", at1);
    for (const double f : shuffled) {
        CHECK((f == 0 || f == 1));
    }
    const auto random =
        factor_at("gradient_mask(layer=1, mask=object, mode=multiply, control=random)", "1", at1);
    CHECK(random[0] != random[2]);
    // Behind a pool: half of the decoy's cells.
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 1, .out = 2, .attrs = {.padding = {1, 1}}}))
        .add(make_max_pool(2));
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 8, .out = 3}));
    test::randomize(*net, 33);
    net->to(DType::f64);
    hand.model.net = std::move(net);
    CHECK(factor_at("gradient_mask(layer=1, mask=decoy, mode=multiply)", "1", {2, 2, 2, 2}) ==
          Values{1, 1, 0.5, 0.5});
}

TEST_CASE("gradient_mask: a map that is the same everywhere leaves the gradient as it is") {
    HandStep hand(two_layers(), test::random_tensor({2, 3}, 44), {0, 1}, 2);
    Tensor above = hand.model.net->parameters()[2].value.data();
    above.copy_from(Tensor::ones({2, 4}, DType::f64));
    const auto plain = gradients(hand, nullptr);
    for (const std::string mode : {"add", "multiply"}) {
        CAPTURE(mode);
        const auto masked =
            gradients(hand, "gradient_mask(layer=0, explainer=saliency(reduce=none), mode=" + mode + ")");
        CHECK(masked[0] == plain[0]);
    }
}

TEST_CASE("gradient_mask: a penalty on the input gradient sees the network without the mask") {
    HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 45), {0, 2}, 3);
    add_masks(hand);
    const auto rrr = build_augmentation("rrr(lambda=1, masks=all)");
    const auto mask = build_augmentation("gradient_mask(layer=1, mask=object, mode=multiply)");
    rrr->begin(hand.run);
    mask->begin(hand.run);
    mask->before_forward(hand.step);
    hand.forward();
    const double alone = rrr->loss_term(hand.step).item();
    hand.forward({mask.get()});
    CHECK(rrr->loss_term(hand.step).item() == alone);
}

TEST_CASE("gradient_mask: strength zero is the plain run, bit for bit; another strength is not") {
    const TrainConfig config = decoy_config();
    const std::string plain = weights_after(config, {});
    CHECK(weights_after(config, {"gradient_mask(lambda=0)"}) == plain);
    CHECK(weights_after(config, {"gradient_mask(start_epoch=2)"}) == plain);
    for (const std::string options :
         {"", "mask=object, mode=multiply", "layer=features.1, mask=decoy, mode=multiply",
          "explainer=grad_cam, target=predicted", "explainer=epsilon_plus, lambda=3", "control=constant",
          "control=random", "control=shuffled"}) {
        CAPTURE(options);
        CHECK(weights_after(config, {"gradient_mask(" + options + ")"}) != plain);
    }
}

TEST_CASE("gradient_mask: a resumed run has the bits of a whole one") {
    TrainConfig config = decoy_config();
    config.epochs = 4;
    check_resume_with(config, {"gradient_mask(control=random)"}, 3);
    check_resume_with(config, {"gradient_mask(explainer=epsilon_plus, mode=multiply)"}, 5);
}

TEST_CASE("gradient_mask: wrong use is told before the first step") {
    TrainConfig config = decoy_config();
    const auto message = [&](const std::string& options) {
        return refusal_of(config, "gradient_mask(" + options + ")");
    };
    CHECK(contains(message("layer=features.99"), "features.99"));
    CHECK(contains(message("lambda=-1"), "lambda"));
    CHECK(contains(message("mode=multiply, lambda=1"), "lambda belongs to mode=add"));
    CHECK(contains(message("mode=divide"), "multiply"));
    CHECK(contains(message("control=none1"), "shuffled"));
    CHECK(contains(message("explainer=lime"), "lime"));
    CHECK(contains(message("layer=classifier.0, explainer=grad_cam"), "no spatial extent"));
    CHECK(contains(message("layer=classifier.0, mask=object"), "height and width"));
    config.recompute = true;
    CHECK(contains(message(""), "recompute"));
    config.recompute = false;
    config.model = "resnet18(in=1, width=8, small=true)";
    CHECK(contains(message("layer=layer1.0.relu"), "called several times"));
    config.data = "digits";
    config.model = "cnn_small(in=1)";
    CHECK(contains(message("mask=object"), "no masks of what matters"));
    CHECK(contains(message("mask=decoy"), "no masks of decoys"));
    config.data = "toy1";
    config.model = "toy1";
    CHECK(contains(message(""), "layer=L"));
}
