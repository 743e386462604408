// Criteria and their ranking, and the augmentation that prunes while training.
#include <doctest/doctest.h>

#include <numeric>

#include "augment/registry.h"
#include "autograd/op.h"
#include "core/io/safetensors.h"
#include "explain/explainer.h"
#include "layers/layers.h"
#include "layers/state.h"
#include "tests/augment/pruning_support.h"
#include "train/evaluation.h"

using namespace backlight;
using namespace backlight::prune_testing;

namespace {

void set(const Model& model, const std::string& name, const std::vector<float>& values) {
    for (const Parameter& parameter : model.net->parameters()) {
        if (parameter.name == name) {
            Tensor target = parameter.value.data();
            target.copy_from(Tensor::from(values, target.shape()));
            return;
        }
    }
    FAIL("no parameter ", name);
}

/// One point (1, 1), class 0, as often as asked for.
class OnePoint final : public Dataset {
public:
    explicit OnePoint(int64_t size) : size_(size) {
        info_.class_names = {"only"};
        info_.sample_shape = {2};
    }
    [[nodiscard]] int64_t size() const override { return size_; }
    [[nodiscard]] int64_t label(int64_t) const override { return 0; }
    [[nodiscard]] RawSample load(int64_t) const override { return {.input = Image(1, 1, 2, 1.0f)}; }

private:
    int64_t size_;
};

/// Hidden activations (1, 2) into one output with weights (3, 1).
Model two_units() {
    Model model = build_model("mlp(in=2, widths=2, out=1)");
    set(model, "0.weight", {1, 0, 0, 2});
    set(model, "0.bias", {0, 0});
    set(model, "2.weight", {3, 1});
    set(model, "2.bias", {0});
    return model;
}

UnitScores scores_of(const Model& model, const std::shared_ptr<const Dataset>& data,
                     const std::string& criterion, bool zplus_all = false) {
    const PrunableUnits units(*model.net, data->sample_shape());
    const PruningCriterion& entry = find_pruning_criterion(criterion);
    return entry.scores({.model = model,
                         .layers = units.layers(),
                         .living = units.all_living(),
                         .references = data,
                         .reference_input = entry.needs_reference ? mean_input(data) : Tensor(),
                         .zplus_all = zplus_all,
                         .seed = 3});
}

TrainConfig shapes_config(const std::filesystem::path& run, const std::vector<std::string>& augment = {}) {
    TrainConfig config{.model = "cnn_g",
                       .data = "shapes12(n=200, n_test=100)",
                       .run = run,
                       .epochs = 4,
                       .batch_size = 40,
                       .lr = 0.02,
                       .seed = 4};
    config.augment = augment;
    return config;
}

TrainHooks with_registry() {
    TrainHooks hooks;
    hooks.make_augmentation = build_augmentation;
    return hooks;
}

std::string error_of_run(const std::string& augment, const std::function<void(TrainConfig&)>& change = {}) {
    const TemporaryFolder folder;
    TrainConfig config = shapes_config(folder.path() / "run", {augment});
    if (change) {
        change(config);
    }
    return error_of([&] { (void)train(config, with_registry()); });
}

}  // namespace

TEST_SUITE("augment") {
    TEST_CASE("prune: z+ shares 1 as 3:2 between two units, so the second goes first") {
        Model model = two_units();
        const auto data = std::make_shared<OnePoint>(1);
        for (const bool zplus_all : {true, false}) {
            for (const std::string criterion : {"lrp", "lrp_abs"}) {
                const UnitScores scores = scores_of(model, data, criterion, zplus_all);
                REQUIRE(scores.size() == 1);
                CHECK(scores[0][0] == doctest::Approx(0.6).epsilon(1e-5));
                CHECK(scores[0][1] == doctest::Approx(0.4).epsilon(1e-5));
            }
        }
        Pruner pruner(model, data, {.fraction = 0.5, .step = 1, .samples_per_class = 1});
        REQUIRE(pruner.steps() == 1);
        pruner.remove_next();
        CHECK(pruner.living() == LivingUnits{{1, 0}});
        CHECK(predict(*model.net, Tensor::ones({1, 2})).item() == 3);
        pruner.finish();
        CHECK(model.net->parameters()[0].value.shape() == Shape{1, 2});
        CHECK(predict(*model.net, Tensor::ones({1, 2})).item() == 3);
    }

    TEST_CASE("prune: the other criteria on the same two units") {
        const Model model = two_units();
        const auto data = std::make_shared<OnePoint>(3);
        CHECK(scores_of(model, data, "weight") == UnitScores{{1, 2}});
        // One class: the loss is 0 and has no slope. With a second output it has.
        CHECK(scores_of(model, data, "gradient") == UnitScores{{0, 0}});
        Model two = build_model("mlp(in=2, widths=2, out=2)");
        set(two, "0.weight", {1, 0, 0, 2});
        set(two, "0.bias", {0, 0});
        set(two, "2.weight", {3, 1, 0, 0});
        set(two, "2.bias", {0, 0});
        // p_0 = 1 / (1 + e^-5); dL/dz_k = (p_0 - 1) w_k, for each of three samples
        const double slope = 1 - 1 / (1 + std::exp(-5.0));
        const UnitScores gradient = scores_of(two, data, "gradient"), taylor = scores_of(two, data, "taylor");
        CHECK(gradient[0][0] == doctest::Approx(3 * 3 * slope).epsilon(1e-4));
        CHECK(gradient[0][1] == doctest::Approx(3 * 1 * slope).epsilon(1e-4));
        CHECK(taylor[0][0] == doctest::Approx(3 * 3 * slope).epsilon(1e-4));
        CHECK(taylor[0][1] == doctest::Approx(3 * 2 * slope).epsilon(1e-4));
        // All samples equal their mean: nothing differs from the reference.
        CHECK(scores_of(two, data, "deeplift") == UnitScores{{0, 0}});
        const UnitScores zero = scores_of(two, data, "deeplift_zero");  // w_k z_k against z = 0: 3 and 2
        CHECK(zero[0][0] > 0);
        CHECK(zero[0][0] / zero[0][1] == doctest::Approx(1.5));
        const UnitScores random = scores_of(two, data, "random");
        CHECK(random == scores_of(two, data, "random"));
        CHECK(random[0][0] != random[0][1]);
    }

    TEST_CASE("prune: DeepLIFT contributions of a layer add up to what the logit differs by") {
        const Model model = random_model("cnn_g");
        const auto data = load_data("shapes12(n=40, n_test=10)")->train;
        const Tensor reference = mean_input(data);
        const PrunableUnits units(*model.net, data->sample_shape());
        const Batch all = data->all();
        const std::vector<int64_t> labels = data->labels();
        const auto explainer = build_method("deep_shap", {.background = always(reference)});
        const ExplainedForward forward(*model.net, all.input);
        ExplainRequest request{.targets = labels};
        for (const UnitLayer& layer : units.layers()) {
            request.layers.push_back(layer.at);
        }
        const Explanation found = forward.explain_all(*explainer, request);
        const auto logits = values_of(forward.logits().data()),
                   base = values_of(predict(*model.net, reference));
        double expected = 0;
        for (size_t n = 0; n < labels.size(); ++n) {
            const auto y = static_cast<size_t>(labels[n]);
            expected += static_cast<double>(logits[n * 4 + y]) - static_cast<double>(base[y]);
        }
        for (const Variable& map : found.maps) {
            const auto values = values_of(map.data());
            CHECK(std::accumulate(values.begin(), values.end(), 0.0) ==
                  doctest::Approx(expected).epsilon(1e-4));
        }
    }

    TEST_CASE("prune: z+ without biases on values that are not negative keeps n at every layer") {
        Model model = build_model("cnn_g(channels=16:32, hidden=64)", 0, 2);
        RandomStream stream(8);
        std::vector<float> pixels(20 * 144);
        stream.fill_uniform(pixels);
        for (const Parameter& parameter : model.net->parameters()) {
            Tensor value = parameter.value.data();
            if (value.rank() == 1) {
                value.fill(0);
            }
        }
        const PrunableUnits units(*model.net, {12, 12, 1});
        const ExplainedForward forward(*model.net, Tensor::from(pixels, {20, 12, 12, 1}));
        const auto explainer = build_method("z_plus(zero_bias=true, start=one, stabilizer=1e-9)");
        ExplainRequest request{.targets = forward.predicted()};
        for (const UnitLayer& layer : units.layers()) {
            request.layers.push_back(layer.at);
        }
        for (const Variable& map : forward.explain_all(*explainer, request).maps) {
            const auto values = values_of(map.data());
            CHECK(std::accumulate(values.begin(), values.end(), 0.0) == doctest::Approx(20).epsilon(1e-5));
        }
    }

    TEST_CASE(
        "prune: a unit that nobody listens to has no relevance, and its removal leaves the logits' bits") {
        Model model = random_model("mlp(in=4, widths=6:5, out=3)");
        const auto data = load_data("toy2(n=60, n_test=20)")->train;
        for (const Parameter& parameter : model.net->parameters()) {
            if (parameter.name == "2.weight") {
                auto values = parameter.value.data().to_vector<float>();
                for (size_t k = 4; k < values.size(); k += 6) {
                    values[k] = 0;
                }
                set(model, "2.weight", values);
            }
        }
        for (const char* criterion : {"lrp", "lrp_abs", "gradient", "taylor", "deeplift", "deeplift_zero"}) {
            INFO(criterion);
            const UnitScores scores = scores_of(model, data, criterion);
            CHECK(scores[0][4] == 0);
            CHECK(*std::max_element(scores[0].begin(), scores[0].end()) > 0);
        }
        const Tensor x = random_input({7, 4});
        const auto before = values_of(predict(*model.net, x));
        Pruner pruner(model, data, {.fraction = 0.1, .step = 1, .samples_per_class = 0});
        pruner.remove_next();
        CHECK(pruner.removed() == 1);
        CHECK(pruner.living()[0] == std::vector<uint8_t>{1, 1, 1, 1, 0, 1});
        CHECK(values_of(predict(*model.net, x)) == before);
    }

    TEST_CASE("prune: steps, the rank over all layers and by layer, one unit stays in each") {
        const auto data = load_data("shapes12(n=100, n_test=10)")->train;
        Model model = random_model("cnn_g");  // 8 + 16 + 32 units
        {
            Pruner pruner(model, data, {.fraction = 0.5, .step = 0.2, .criterion = "random"});
            CHECK(pruner.steps() == 3);  // 11, 11, 6 of 56
            std::vector<int64_t> removed;
            while (!pruner.is_done()) {
                pruner.remove_next();
                removed.push_back(pruner.removed());
            }
            CHECK(removed == std::vector<int64_t>{11, 22, 28});
        }
        {
            Pruner pruner(model, data,
                          {.fraction = 0.5, .step = 0.2, .criterion = "lrp_abs", .by_layer = true});
            std::vector<int64_t> removed;
            while (!pruner.is_done()) {
                pruner.remove_next();
                removed.push_back(pruner.removed());
            }
            CHECK(removed == std::vector<int64_t>{1 + 3 + 6, 3 + 6 + 12, 4 + 8 + 16});
        }
        {
            Model fresh = random_model("cnn_g");
            Pruner pruner(fresh, data, {.fraction = 0.5, .step = 1, .criterion = "deeplift"});
            pruner.remove_next();
            const LivingUnits& deep = pruner.living();  // ranked by layer, where nothing is said
            CHECK(std::count(deep[0].begin(), deep[0].end(), 1) == 4);  // half of each layer
            CHECK(std::count(deep[2].begin(), deep[2].end(), 1) == 16);
        }
        {
            Pruner pruner(model, data, {.fraction = 1, .step = 1, .criterion = "weight"});
            pruner.remove_next();
            CHECK(pruner.removed() == 53);
            pruner.finish();
            CHECK(predict(*model.net, random_input({2, 12, 12, 1})).shape() == Shape{2, 4});
        }
    }

    TEST_CASE("prune: equal scores go by layer, then by index") {
        Model model = build_model("mlp(in=2, widths=3:3, out=2)");
        for (const Parameter& parameter : model.net->parameters()) {
            Tensor value = parameter.value.data();
            value.fill(1);
        }
        const auto data = load_data("moons(n=20, n_test=20)")->train;
        Pruner pruner(model, data, {.fraction = 0.5, .step = 1, .criterion = "weight"});
        pruner.remove_next();
        CHECK(pruner.living() == LivingUnits{{0, 0, 1}, {0, 1, 1}});
    }

    TEST_CASE("prune: reference samples are drawn by the seed, as many of each class") {
        const auto data = load_data("shapes12(n=100, n_test=10)")->train;
        const auto drawn = draw_references(data, 3, 1);
        CHECK(drawn->class_counts() == std::vector<int64_t>{3, 3, 3, 3});
        CHECK(drawn->all().input.to_vector<float>() ==
              draw_references(data, 3, 1)->all().input.to_vector<float>());
        CHECK(drawn->all().input.to_vector<float>() !=
              draw_references(data, 3, 2)->all().input.to_vector<float>());
        CHECK(draw_references(data, 0, 1) == data);
        CHECK(draw_references(data, 1000, 1)->size() == 100);
    }

    TEST_CASE("prune: a fraction of zero is the plain run, bit for bit") {
        const TemporaryFolder folder;
        (void)train(shapes_config(folder.path() / "plain"), with_registry());
        (void)train(shapes_config(folder.path() / "none", {"prune(fraction=0)"}), with_registry());
        CHECK(slurp(folder.path() / "plain" / "weights.safetensors") ==
              slurp(folder.path() / "none" / "weights.safetensors"));
    }

    TEST_CASE(
        "prune: stepwise with training between; dead units stay at 0, the file is that of a smaller "
        "network") {
        const TemporaryFolder folder;
        const auto run = folder.path() / "run";
        TrainConfig config =
            shapes_config(run, {"prune(fraction=0.5, step=0.25, criterion=lrp_abs, samples_per_class=4)"});
        config.optimizer.weight_decay = 0.01;
        const TrainResult result = train(config, with_registry());
        CHECK(result.model.net->parameter_count() < build_model("cnn_g").net->parameter_count());
        const SafetensorsFile file = read_safetensors(run / "weights.safetensors");
        CHECK(file.metadata.at("backlight.pruned") == result.model.pruned);
        const LoadedModel loaded = load_model("cnn_g", 0, run / "weights.safetensors");
        CHECK(loaded.model.pruned == result.model.pruned);
        const Tensor x = random_input({5, 12, 12, 1});
        CHECK(values_of(predict(*loaded.model.net, x)) == values_of(predict(*result.model.net, x)));
        CHECK(evaluate(*loaded.model.net, *result.data->test).accuracy == result.test.accuracy);
        // The checkpoint holds the masked network of full size: weights and momentum of dead units are 0.
        const SafetensorsFile checkpoint = read_safetensors(run / "checkpoint.safetensors");
        const auto row = checkpoint.tensors.at("augment.0.state.living.2").to_vector<uint8_t>();
        const auto bias = checkpoint.tensors.at("model.classifier.0.bias").to_vector<float>();
        const auto momentum =
            checkpoint.tensors.at("optimizer.classifier.0.bias.momentum").to_vector<float>();
        REQUIRE(row.size() == 32);
        bool some_dead = false;
        for (size_t k = 0; k < row.size(); ++k) {
            some_dead = some_dead || row[k] == 0;
            CHECK((row[k] == 1 || (bias[k] == 0 && momentum[k] == 0)));
        }
        CHECK(some_dead);
        const auto lines = metrics_of(run);
        CHECK(lines[0]["augment"].begin().value()["removed"] == 0);
        CHECK(lines[1]["augment"].begin().value()["removed"] == doctest::Approx(0.25));
        CHECK(lines[3]["augment"].begin().value()["removed"] == doctest::Approx(0.5));
    }

    TEST_CASE("prune: a smaller network is trained on, also for other classes") {
        const TemporaryFolder folder;
        const auto run = folder.path() / "run";
        (void)train(shapes_config(run, {"prune(fraction=0.4, step=1, criterion=weight, first=4)"}),
                    with_registry());
        TrainConfig on = shapes_config(folder.path() / "on");
        on.weights = (run / "weights.safetensors").string();
        on.epochs = 1;
        const TrainResult result = train(on, with_registry());
        CHECK_FALSE(result.model.pruned.empty());
        CHECK(load_model("cnn_g", 0, folder.path() / "on" / "weights.safetensors").model.pruned ==
              result.model.pruned);
        on.run = folder.path() / "more";
        on.classes = 6;
        CHECK(train(on, with_registry()).model.net->at("classifier.2").width()->out == 6);
        on.run = folder.path() / "again";
        on.classes = 0;
        on.augment = {"prune(fraction=0.2, step=1, first=0)"};
        CHECK(train(on, with_registry()).model.net->parameter_count() < result.model.net->parameter_count());
    }

    TEST_CASE("prune: a run that is interrupted and resumed has the same bits") {
        const TemporaryFolder folder;
        const std::string augment = "prune(fraction=0.5, step=0.25, criterion=random, every_epochs=2)";
        (void)train(shapes_config(folder.path() / "whole", {augment}), with_registry());
        for (const int64_t steps : {3, 5, 7, 17}) {  // within epochs, and between two
            INFO("after step ", steps);
            const auto run = folder.path() / concat_text("parts", steps);
            const StopAfter stop(steps);
            TrainHooks hooks = with_registry();
            hooks.stop = stop.hooks().stop;
            hooks.step = stop.hooks().step;
            TrainConfig config = shapes_config(run, {augment});
            CHECK(train(config, hooks).interrupted);
            config.resume = true;
            (void)train(config, with_registry());
            check_same_run(folder.path() / "whole", run);
        }
        TrainConfig finished = shapes_config(folder.path() / "whole", {augment});
        const std::string weights = slurp(folder.path() / "whole" / "weights.safetensors");
        finished.resume = true;
        (void)train(finished, with_registry());
        CHECK(slurp(folder.path() / "whole" / "weights.safetensors") == weights);
    }

    TEST_CASE("prune: errors come before training") {
        CHECK(contains(error_of_run("prune(fraction=2)"), "fraction"));
        CHECK(contains(error_of_run("prune(criterion=lrp_ab)"), "did you mean lrp_abs"));
        CHECK(contains(error_of_run("prune(ranking=all)"), "global"));
        CHECK(contains(error_of_run("prune(nonsense=1)"), "nonsense"));
        CHECK(contains(error_of_run("prune"),
                       "10 removals, the first after 1 epochs and one every 1, need at least 10 epochs"));
        CHECK(contains(error_of_run("prune(step=1, every=2)"), "first=N"));
        CHECK(contains(error_of_run("prune(step=1, start_epoch=1)"), "first=N"));
        CHECK(
            contains(error_of_run("prune(step=1)", [](TrainConfig& c) { c.ema = 0.9; }), "averaged weights"));
        CHECK(contains(error_of_run("prune(step=1)",
                                    [](TrainConfig& c) {
                                        c.model = "toy3";
                                        c.data = "toy3";
                                    }),
                       "no hidden convolution or linear layer"));
        CHECK(contains(error_of_run("prune(step=1, tied=leave)",
                                    [](TrainConfig& c) {
                                        c.model = "resnet18(small=true, in=1, width=4, norm=group, groups=2)";
                                    }),
                       "no hidden convolution"));
    }

    TEST_CASE("weight files: a network is only as small as its file says that it was made") {
        const TemporaryFolder folder;
        const auto path = folder.path() / "w.safetensors";
        Model model = random_model("cnn_g");
        const PrunableUnits units(*model.net, {12, 12, 1});
        remove_units(model, units, random_living(units, 0.5));
        const StateDict state = state_dict(*model.net);
        write_safetensors(path, state);
        CHECK(contains(error_of([&] { (void)load_model("cnn_g", 0, path); }), "misshapen"));
        write_safetensors(path, state, {{"backlight.pruned", model.pruned}});
        CHECK_NOTHROW((void)load_model("cnn_g", 0, path));
        StateDict wider = state;
        wider["features.0.weight"] = Tensor::zeros({9, 1, 3, 3});
        write_safetensors(path, wider, {{"backlight.pruned", model.pruned}});
        CHECK(contains(error_of([&] { (void)load_model("cnn_g", 0, path); }), "features.0.weight"));
        StateDict torn = state;  // the bias is not as narrow as its weight
        torn["features.0.bias"] = Tensor::zeros({8});
        write_safetensors(path, torn, {{"backlight.pruned", model.pruned}});
        CHECK(contains(error_of([&] { (void)load_model("cnn_g", 0, path); }), "features.0.bias"));
    }
}
