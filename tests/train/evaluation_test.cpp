// Loss, accuracy and confusion of a network whose logits are known.
#include "train/evaluation.h"

#include <cmath>

#include "datasets/in_memory.h"
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
    for (const int64_t batch_size : {int64_t{1}, int64_t{3}, int64_t{4}, INT64_MAX}) {
        CAPTURE(batch_size);
        const Evaluation e = evaluate(net, *samples({0, 1, 2, 2}), batch_size);
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
