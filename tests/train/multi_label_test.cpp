// Training on data with several labels a sample.
#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "tests/datasets/voc_support.h"
#include "tests/layers/support.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

namespace {

TrainConfig voc_config(const TemporaryFolder& folder) {
    testing::write_voc(folder.path() / "voc");
    TrainConfig config;
    config.model = "mlp(in=192, widths=8, image=8:8:3)";
    config.data = "voc2012:" + (folder.path() / "voc").string() + "(size=8)";
    config.run = folder.path() / "run";
    config.epochs = 1;
    config.lr = 0.1;
    return config;
}

}  // namespace

TEST_CASE("train: multi-label data trains with binary cross-entropy and is measured by average precision") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    config.epochs = 60;
    config.data.insert(config.data.size() - 1, ", test=train");
    std::vector<double> scores;
    TrainHooks hooks;
    hooks.epoch = [&](const TrainProgress&, const Evaluation& e) { scores.push_back(e.score()); };
    const TrainResult result = train(config, hooks);
    CHECK(result.test.is_multi_label());
    CHECK(result.test.score() == 1);  // two images, one class each
    CHECK(scores.size() == 60);
    const auto lines = metrics_of(config.run);
    const auto& last = lines.back()["test"];
    CHECK(last["mean_average_precision"] == 1);
    CHECK(last["average_precision"].size() == 20);
    CHECK(last["average_precision"][11] == 1);
    CHECK(last["average_precision"][0].is_null());
    CHECK_FALSE(last.contains("accuracy"));
    CHECK(last["loss"].get<double>() < 0.2);
    CHECK(load_model(config.model, 0, config.run / "weights.safetensors").multi_label);
    const int64_t steps = result.steps;
    config.epochs = 61;
    config.resume = true;
    CHECK(train(config).steps == steps + 1);
}

TEST_CASE("train: the loss of multi-label data leaves out what is difficult, weighs positives, smooths") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    config.optimizer.momentum = 0;
    config.overwrite = true;
    const Batch all = load_data(config.data)->train->all();
    struct Case {
        std::string weights;
        double smoothing;
    };
    // dog and person are positive once, negative in the other image (dog) or never (person: it is difficult
    // there)
    std::string listed = "1";
    for (int k = 1; k < 20; ++k) {
        listed += k == 11 ? ":3" : ":1";
    }
    for (const Case& c : {Case{"", 0}, Case{"", 0.2}, Case{listed, 0}, Case{"balanced", 0}}) {
        CAPTURE(c.weights);
        config.class_weights = c.weights;
        config.label_smoothing = c.smoothing;
        const Model start = build_model(config.model, 20, config.seed);
        const auto target = layer_testing::values_of(all.target);
        auto weight = layer_testing::values_of(all.target_weight);
        CHECK(weight[14] == 0);
        auto smoothed = target;
        for (size_t i = 0; i < target.size(); ++i) {
            const bool dog = i % 20 == 11, person = i % 20 == 14;
            if (c.weights == listed && dog && target[i] == 1) {
                weight[i] = 3;
            } else if (c.weights == "balanced" && target[i] == 1) {
                weight[i] = person ? 0 : 1;  // negatives / positives
            }
            smoothed[i] = target[i] * (1 - c.smoothing) + c.smoothing / 2;
        }
        const Shape shape = all.target.shape();
        backward(binary_cross_entropy_with_logits((*start.net)(Variable(all.input)),
                                                  Variable(layer_testing::tensor(smoothed, shape)),
                                                  layer_testing::tensor(weight, shape)));
        const TrainResult result = train(config);
        layer_testing::check_plain_step(*start.net, *result.model.net, config.lr);
    }
}

TEST_CASE("train: accumulated multi-label batches make the step of one large batch") {
    const TemporaryFolder folder;
    TrainConfig whole = voc_config(folder);
    whole.run.clear();
    whole.batch_size = 2;
    TrainConfig parts = whole;
    parts.batch_size = 1;  // what is ignored differs between the images: they do not weigh the same
    parts.accumulate = 2;
    for (const char* weights : {"", "balanced"}) {
        CAPTURE(weights);
        whole.class_weights = parts.class_weights = weights;
        const TrainResult a = train(whole), b = train(parts);
        CHECK(a.steps == 1);
        CHECK(b.steps == 1);
        const Model start = build_model(whole.model, 20, whole.seed);
        bool moved = false;
        for (const Parameter& p : a.model.net->parameters()) {
            layer_testing::check_values(layer_testing::parameter(*b.model.net, p.name).data(),
                                        p.value.shape(), layer_testing::values_of(p.value.data()), 1e-6);
            moved = moved || !layer_testing::equal(layer_testing::parameter(*start.net, p.name).data(),
                                                   p.value.data());
        }
        CHECK(moved);
    }
}

TEST_CASE("train: what needs one label a sample is refused for multi-label data") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    config.top_k = 3;
    CHECK(contains(error_of([&] { (void)train(config); }), "top-k accuracy needs one label a sample"));
    config.top_k = 0;
    config.classes = 21;
    CHECK(contains(error_of([&] { (void)train(config); }),
                   "20 classes needs as many outputs, the model has 21"));
    CHECK_FALSE(std::filesystem::exists(config.run));
}

TEST_CASE("train: the test set can be measured by ten crops") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    const TrainResult plain = train(config);
    config.ten_crop = true;
    config.overwrite = true;
    const TrainResult ten = train(config);
    CHECK(ten.test.loss == evaluate(*plain.model.net, *ten_crops(plain.data->test)).loss);
    config.data = "toy1";
    config.model = "toy1";
    CHECK(contains(error_of([&] { (void)train(config); }), "not cut out of larger ones"));
}
