// How many images a second the loader makes of a data set.
//   bench_loader SPEC train|test|decode WORKERS SECONDS
// `train` has random transforms and a shuffled order, `test` neither; `decode` only reads and decodes the
// whole pictures of SPEC, in so many threads: the limit of both. Prints one JSON object.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "datasets/loader.h"
#include "datasets/registry.h"

namespace {

using namespace backlight;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double loader_rate(const std::shared_ptr<Dataset>& set, bool training, int workers, double seconds) {
    Loader loader(set, {.batch_size = 32, .shuffle = training, .augment = training, .workers = workers});
    constexpr int kWarmUp = 4;
    for (int i = 0; i < kWarmUp; ++i) {
        (void)loader.next();
    }
    int64_t images = 0;
    const Clock::time_point start = Clock::now();
    while (since(start) < seconds) {
        if (const auto batch = loader.next()) {
            images += batch->size();
        }
    }
    return static_cast<double>(images) / since(start);
}

double decode_rate(const Dataset& set, int workers, double seconds) {
    std::atomic<int64_t> next{0};
    const Clock::time_point start = Clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < workers; ++i) {
        threads.emplace_back([&] {
            while (since(start) < seconds) {
                (void)set.load(next++ % set.size()).picture.value().decode();
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    return static_cast<double>(next) / since(start);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: bench_loader SPEC train|test|decode WORKERS SECONDS\n");
        return 2;
    }
    try {
        const auto data = load_data(argv[1]);
        const std::string mode = argv[2];
        const int workers = std::stoi(argv[3]);
        const double seconds = std::stod(argv[4]);
        const double rate = mode == "decode"
                                ? decode_rate(*data->train, workers, seconds)
                                : loader_rate(data->split(mode), mode == "train", workers, seconds);
        std::printf("{\"images_per_second\": %.1f}\n", rate);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_loader: %s\n", error.what());
        return 2;
    }
    return 0;
}
