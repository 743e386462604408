// Loss, accuracy and confusion of a network whose logits are known.
#include "train/evaluation.h"

#include <cmath>

#include "autograd/functions.h"
#include "datasets/in_memory.h"
#include "datasets/transforms.h"
#include "tests/datasets/support.h"
#include "tests/layers/support.h"
#include "train/metrics_log.h"

using namespace backlight;
using layer_testing::counting;
using layer_testing::equal;

namespace {

/// The logits are the samples: predictions 0, 1, 1, 2.
std::shared_ptr<InMemoryDataset> samples(std::vector<int64_t> labels, int64_t classes = 4) {
    const Tensor inputs = layer_testing::tensor({2, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0}, {4, 4});
    return make_dataset(inputs, std::move(labels), numbered_classes(classes));
}

double loss_of(double picked, double other) { return -(picked - std::log(std::exp(other) + 3)); }

}  // namespace

TEST_CASE("evaluation: loss, accuracy, confusion and accuracy of each class") {
    Sequential net;
    net.add(make_flatten());
    const double by_default = evaluate(net, *samples({0, 1, 2, 2})).loss;
    for (const int64_t batch_size : {int64_t{1}, int64_t{3}, int64_t{4}, INT64_MAX}) {
        CAPTURE(batch_size);
        const Evaluation e = evaluate(net, *samples({0, 1, 2, 2}), batch_size);
        CHECK(e.loss == by_default);  // to the bit
        CHECK(e.samples == 4);
        CHECK(e.accuracy == 0.75);
        // three labels at the large logit, one at a zero beside a 3
        const double expected = (loss_of(2, 2) + loss_of(1, 1) + loss_of(0, 3) + loss_of(1, 1)) / 4;
        CHECK(e.loss == doctest::Approx(expected).epsilon(1e-6));
        CHECK(e.confusion ==
              std::vector<std::vector<int64_t>>{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 1, 0}, {0, 0, 0, 0}});
        const auto accuracy = e.class_accuracy();
        CHECK(accuracy[0] == 1);
        CHECK(accuracy[2] == 0.5);
        CHECK(std::isnan(accuracy[3]));  // no sample
    }
}

TEST_CASE("evaluation: the loss is that of each sample, whatever the size of its logits") {
    Sequential net;
    net.add(make_flatten());
    const auto set = make_dataset(layer_testing::tensor({1e4, -1e4, 0, 0, -1e4, 0}, {3, 2}), {0, 1, 1},
                                  numbered_classes(2));
    CHECK(evaluate(net, *set).loss == doctest::Approx(std::log(2.0) / 3));
    const auto infinite =
        make_dataset(layer_testing::tensor({INFINITY, 0, 0, 1}, {2, 2}), {1, 1}, numbered_classes(2));
    CHECK_FALSE(std::isfinite(evaluate(net, *infinite).loss));
}

TEST_CASE("evaluation: mean, deviation, least and balance of the classes that have samples") {
    Evaluation evaluation;
    evaluation.confusion = {{3, 1, 0, 0}, {0, 4, 0, 0}, {0, 0, 0, 0}, {1, 1, 0, 2}};  // 0.75, 1, none, 0.5
    const ClassSpread spread = evaluation.class_spread();
    CHECK(spread.mean == doctest::Approx(0.75));
    CHECK(spread.deviation == doctest::Approx(std::sqrt(0.125 / 3)));
    CHECK(spread.minimum == 0.5);
    CHECK(spread.balance() == doctest::Approx(0.75 / std::sqrt(0.125 / 3)));
    evaluation.average_precision = {0.2, NAN, 0.6};
    CHECK(evaluation.class_spread().mean == doctest::Approx(0.4));
    CHECK(evaluation.class_spread().deviation == doctest::Approx(0.2));
    Evaluation collapsed;  // a network that knows one of K classes
    collapsed.confusion = {{5, 0, 0, 0}, {5, 0, 0, 0}, {5, 0, 0, 0}, {5, 0, 0, 0}};
    CHECK(collapsed.class_spread().balance() == doctest::Approx(1 / std::sqrt(3.0)));
    Evaluation perfect;
    perfect.confusion = {{5, 0}, {0, 5}};
    CHECK(perfect.class_spread().balance() == doctest::Approx(1e6));
    CHECK(std::isnan(Evaluation{}.class_spread().balance()));
}

TEST_CASE("evaluation: top-k accuracy counts labels among the k largest, lower classes first of equal ones") {
    Sequential net;
    net.add(make_flatten());
    const double expected[] = {0, 0.5, 0.75, 0.75, 1};  // ranks 0, 0, 1, 3
    for (const int64_t k : {1, 2, 3, 4}) {
        CAPTURE(k);
        const Evaluation e = evaluate(net, *samples({0, 1, 0, 3}), 3, k);
        CHECK(e.top_k == k);
        CHECK(e.top_k_accuracy == expected[k]);
    }
    CHECK(evaluate(net, *samples({0, 1, 0, 3}), 3).top_k == 0);
    CHECK(layer_testing::contains(layer_testing::error_of([&] {
                                      (void)evaluate(net, *samples({0, 1, 0, 3}), 3, 5);
                                  }),
                                  "top-k <= 4"));
}

TEST_CASE("evaluation: modes are restored, statistics and random draws untouched") {
    Sequential net;
    net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 4}))
        .add(std::make_unique<Dropout>(0.5));
    layer_testing::set(net, "0.weight", {1, 1, 1, 1});
    net.at("0").eval();
    RandomContext::current().begin_step(1, 1);
    (void)evaluate(net, *samples({0, 1, 2, 2}));
    CHECK(net.is_training());
    CHECK_FALSE(net.at("0").is_training());
    CHECK(net.at("1").is_training());
    CHECK(layer_testing::buffer(net, "0.num_batches_tracked").item() == 0);
    CHECK(RandomContext::current().draws == 0);
}

TEST_CASE("evaluation: a label without an output is refused") {
    Sequential net;
    net.add(make_flatten());
    CHECK(testing::contains(testing::error_of([&] {
                                (void)evaluate(net, *samples({0, 1, 5, 2}, 6));
                            }),
                            "label 5"));
}

TEST_CASE("evaluation: average precision of each class of multi-label data, what is to be ignored left out") {
    Sequential net;
    net.add(make_flatten());
    const auto set = samples({0, 0, 0, 0});
    constexpr auto o = Presence::absent, x = Presence::present, i = Presence::ignored;
    // logits of class 0: 2 0 0 0, of class 1: 0 1 3 0, of class 2: 0 0 0 1, of class 3: 0 0 0 0
    set->set_presence({x, o, o, o, o, x, o, i, o, o, o, o, x, o, o, i});
    for (const int64_t batch_size : {1, 3, 4}) {
        CAPTURE(batch_size);
        const Evaluation e = evaluate(net, *set, batch_size);
        CHECK(e.is_multi_label());
        CHECK(e.samples == 4);
        REQUIRE(e.average_precision.size() == 4);
        CHECK(e.average_precision[0] ==
              doctest::Approx(0.5 + 0.5 * 2 / 4));              // three equal scores count together
        CHECK(e.average_precision[1] == doctest::Approx(0.5));  // behind a 3
        CHECK(std::isnan(e.average_precision[2]));              // nothing to find
        CHECK(std::isnan(e.average_precision[3]));
        CHECK(e.score() == doctest::Approx((0.75 + 0.5) / 2));
        CHECK(e.positives == std::vector<int64_t>{2, 1, 0, 0});
        // 16 - 2 elements: softplus of the logits less those of the positives, 2 + 1 + 0
        const auto softplus_of = [](double logit) { return std::log1p(std::exp(logit)); };
        const double expected =
            softplus_of(2) + 2 * softplus_of(1) + softplus_of(3) + 10 * softplus_of(0) - 3;
        CHECK(e.loss == doctest::Approx(expected / 14));
    }
    CHECK(
        testing::contains(testing::error_of([&] { (void)evaluate(net, *set, 4, 2); }), "one label a sample"));
    auto narrow = samples({0, 0, 0, 0}, 3);
    narrow->set_presence(std::vector<Presence>(12, x));
    CHECK(testing::contains(testing::error_of([&] { (void)evaluate(net, *narrow); }),
                            "as many outputs, got (4, 4)"));
}

namespace {

/// Pictures (2, 3, 1) of which two windows (2, 2) exist, by 255.
std::shared_ptr<InMemoryDataset> pictures() {
    auto set =
        make_dataset(Tensor::from<uint8_t>({255, 0, 51, 102, 0, 255, 0, 204, 51, 0, 255, 102}, {2, 2, 3, 1}),
                     {1, 0}, numbered_classes(2));
    set->set_transforms({center_crop_to(2, 2)}, {2, 2, 1});
    return set;
}

}  // namespace

TEST_CASE("evaluation: ten crops give the mean of the probabilities of each crop") {
    Sequential net;
    net.add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = 4, .out = 2}));
    layer_testing::set(net, "1.weight", {3, -1, 0, 2, -2, 1, 1, -1});
    layer_testing::set(net, "1.bias", {0.5, 0});
    const auto set = pictures();
    for (const bool multi_label : {false, true}) {
        CAPTURE(multi_label);
        if (multi_label) {
            set->set_presence({Presence::absent, Presence::present, Presence::present, Presence::ignored});
        }
        // The ten windows one by one, through the net.
        const Tensor windows = ten_crops(set)->all().input.reshape({20, 2, 2, 1});
        const Tensor logits = predict(net, windows);
        const auto p = layer_testing::values_of(
            (multi_label ? sigmoid(Variable(logits)) : softmax(Variable(logits))).data());
        std::vector<double> mean(4, 0);
        for (size_t view = 0; view < 20; ++view) {
            for (size_t k = 0; k < 2; ++k) {
                mean[view / 10 * 2 + k] += p[2 * view + k] / 10;
            }
        }
        const double expected = multi_label
                                    ? -(std::log(1 - mean[0]) + std::log(mean[1]) + std::log(mean[2])) / 3
                                    : -(std::log(mean[1]) + std::log(mean[2])) / 2;
        for (const int64_t batch_size : {1, 10, 20, 256}) {
            CHECK(evaluate(net, *ten_crops(set), batch_size).loss == doctest::Approx(expected).epsilon(1e-5));
        }
        CHECK(std::abs(evaluate(net, *set).loss - expected) > 0.01);
    }
}

TEST_CASE("evaluation: ten crops of saturated outputs have a finite loss") {
    Sequential net;
    net.add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = 4, .out = 2}));
    layer_testing::set(net, "1.weight", {0, 0, 0, 0, 0, 0, 0, 0});
    layer_testing::set(net, "1.bias", {2000, 0});
    const auto set = pictures();
    CHECK(evaluate(net, *ten_crops(set)).loss == doctest::Approx(1000));
    set->set_presence({Presence::absent, Presence::present, Presence::present, Presence::absent});
    const double expected =
        (2000 + 2 * std::log(2.0)) / 4;  // one of four is wrong by 2000, two are undecided
    CHECK(evaluate(net, *ten_crops(set)).loss == doctest::Approx(expected));
}

TEST_CASE("evaluation: so many samples at once that large pictures need no more memory than small ones") {
    CHECK(default_batch({5}) == 256);
    CHECK(default_batch({32, 32, 3}) == 256);
    CHECK(default_batch({224, 224, 3}) == 41);
    CHECK(default_batch({10 * 224, 224, 3}) == 4);
    CHECK(default_batch({8192, 8192, 3}) == 1);
}

TEST_CASE("predict: pieces of any size give the same logits as one batch") {
    Sequential net;
    net.add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 2}));
    layer_testing::set(net, "0.weight", {1, 2, 3, -1, 0, 1});
    const Tensor x = counting({7, 3});
    const Tensor whole = predict(net, x, 7);
    CHECK(whole.shape() == Shape{7, 2});
    for (const int64_t piece : {1, 2, 3, 100}) {
        CAPTURE(piece);
        CHECK(equal(predict(net, x, piece), whole));
    }
    CHECK(net.is_training());
}

TEST_CASE("metrics log: whole lines, cut to what a checkpoint remembers") {
    const testing::TemporaryFolder folder;
    const auto path = folder.path() / "metrics.jsonl";
    int64_t after_one = 0;
    {
        MetricsLog log(path, 0);
        log.write("{\"epoch\":1}");
        after_one = log.bytes();
        log.write("{\"epoch\":2}");
        CHECK(log.bytes() == 2 * after_one);
    }
    CHECK(after_one == 12);
    const auto text = [&] {
        std::ifstream in(path);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    CHECK(text() == "{\"epoch\":1}\n{\"epoch\":2}\n");
    std::ofstream(path, std::ios::app) << "{\"epo";  // torn by a crash
    {
        MetricsLog log(path, after_one);
        log.write("{\"epoch\":3}");
    }
    CHECK(text() == "{\"epoch\":1}\n{\"epoch\":3}\n");
    { const MetricsLog log(path, 1000); }  // a file that is shorter than remembered is not stretched
    CHECK(text() == "{\"epoch\":1}\n{\"epoch\":3}\n");
    { const MetricsLog log(path, 0); }
    CHECK(text().empty());
    MetricsLog nothing("", 0);
    CHECK_NOTHROW(nothing.write("x"));
    CHECK_THROWS_AS(MetricsLog(folder.path() / "no" / "such" / "folder", 0), SystemError);
}
