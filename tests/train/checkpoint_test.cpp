// A checkpoint restores a training loop of any network, random layers included, to the bit.
#include "train/checkpoint.h"

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "datasets/loader.h"
#include "layers/init.h"
#include "layers/layers.h"
#include "layers/state.h"
#include "tests/layers/support.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

namespace {

/// A network with dropout and batch norm, its optimiser and its data: what a program of its own would hold.
struct Loop {
    Loop() : data(load_data("toy1")), loader(data->train, {.batch_size = 50, .seed = 1}) {
        net.add(std::make_unique<Linear>(Linear::Config{.in = 5, .out = 16}));
        net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 16}));
        net.add(make_relu()).add(std::make_unique<Dropout>(0.3));
        net.add(std::make_unique<Linear>(Linear::Config{.in = 16, .out = 2}));
        net.add(std::make_unique<Dropout>(0.1));
        initialize(net, Init::pytorch, 2);
        optimizer = make_optimizer({.name = "adam"}, net.parameters());
        state.identity = "a test";
    }

    /// Until step `end`; the loss of each step.
    std::vector<double> run(int64_t end) {
        std::vector<double> losses;
        while (state.step < end) {
            const auto batch = loader.next();
            if (!batch) {
                continue;  // the next epoch begins
            }
            RandomContext::current().begin_step(7, static_cast<uint64_t>(state.step));
            const Variable loss = cross_entropy(net(Variable(batch->input)), batch->label);
            losses.push_back(loss.item());
            net.zero_grad();
            backward(loss);
            optimizer->step(0.01);
            ++state.step;
        }
        const auto position = loader.position();
        state.epoch = position.epoch;
        state.batch = position.batch;
        return losses;
    }

    std::unique_ptr<DataSource> data;
    Loader loader;
    Sequential net;
    std::unique_ptr<Optimizer> optimizer;
    TrainState state;
};

bool same_weights(Module& a, Module& b) {
    const StateDict in_a = state_dict(a), in_b = state_dict(b);
    return std::all_of(in_a.begin(), in_a.end(), [&](const auto& entry) {
        return layer_testing::equal(entry.second, in_b.at(entry.first));
    });
}

}  // namespace

TEST_CASE("checkpoint: a loop with dropout and batch norm continues bit for bit in the middle of an epoch") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint.safetensors";
    Loop whole;
    const auto losses = whole.run(20);  // 7 steps an epoch

    Loop before;
    const auto first = before.run(10);
    save_checkpoint(path, before.net, *before.optimizer, before.state);

    Loop after;
    initialize(after.net, Init::he_normal, 99);  // nothing of it may survive
    RandomContext::current().begin_step(123, 456);
    after.state = load_checkpoint(path, after.net, *after.optimizer, "a test");
    CHECK(after.state.step == 10);
    CHECK(after.state.epoch == 1);
    CHECK(after.state.batch == 3);
    CHECK(after.optimizer->steps() == 10);
    CHECK(same_weights(after.net, before.net));
    after.loader.seek({after.state.epoch, after.state.batch});
    auto resumed = first;
    const auto rest = after.run(20);
    resumed.insert(resumed.end(), rest.begin(), rest.end());
    CHECK(resumed == losses);
    CHECK(same_weights(after.net, whole.net));
}

TEST_CASE("checkpoint: every field of the state comes back") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "c.safetensors";
    Loop loop;
    loop.state = {.epoch = 3,
                  .batch = 4,
                  .step = 25,
                  .best_loss = 0.1,
                  .best_epoch = 2,
                  .metrics_bytes = 321,
                  .epoch_loss = 1.0 / 3.0,
                  .tuning = "line one\nline \"two\"",
                  .identity = "x"};
    save_checkpoint(path, loop.net, *loop.optimizer, loop.state);
    const TrainState state = load_checkpoint(path, loop.net, *loop.optimizer, "x");
    CHECK(state.epoch == 3);
    CHECK(state.batch == 4);
    CHECK(state.step == 25);
    CHECK(state.best_loss == 0.1);
    CHECK(state.best_epoch == 2);
    CHECK(state.metrics_bytes == 321);
    CHECK(state.epoch_loss == 1.0 / 3.0);
    CHECK(state.tuning == "line one\nline \"two\"");
    const std::string text = error_of([&] { (void)load_checkpoint(path, loop.net, *loop.optimizer, "y"); });
    CHECK(contains(text, "made with x, this run has y"));
}

TEST_CASE("checkpoint: numbers that JSON cannot hold do not make it unreadable") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "c.safetensors";
    Loop loop;
    loop.state.best_loss = std::numeric_limits<double>::infinity();
    loop.state.epoch_loss = std::numeric_limits<double>::quiet_NaN();
    save_checkpoint(path, loop.net, *loop.optimizer, loop.state);
    CHECK_NOTHROW((void)load_checkpoint(path, loop.net, *loop.optimizer, "a test"));
}

TEST_CASE("checkpoint: one of another network is refused and changes nothing") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "c.safetensors";
    Sequential other;
    other.add(std::make_unique<Linear>(Linear::Config{.in = 5, .out = 3}));
    const auto optimizer = make_optimizer({}, other.parameters());
    save_checkpoint(path, other, *optimizer, {.identity = "a test"});
    Loop loop, untouched;
    const std::string text =
        error_of([&] { (void)load_checkpoint(path, loop.net, *loop.optimizer, "a test"); });
    CHECK(contains(text, "0.weight"));
    CHECK(same_weights(loop.net, untouched.net));
}
