// Loader: batches of a data set, epoch after epoch, prepared ahead by worker threads.
// The order of an epoch depends on seed and epoch alone, a random transform on (seed, epoch, sample and how
// often it came up before), and what replaces a corrupt sample on the order: neither the number of workers
// nor a restart in the middle changes a bit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "datasets/dataset.h"

namespace backlight {

class Sampler;

/// What happens to a sample that cannot be read.
enum class OnCorrupt : uint8_t {
    stop,       // `next` throws CorruptSample
    leave_out,  // the batch has fewer samples; batches without any do not come
    replace,    // by the next sample of the epoch's order that can be read; after its last comes its first
};

struct LoaderOptions {
    int64_t batch_size = 32;
    bool shuffle = true;       // each epoch in a new order
    bool augment = true;       // random transforms; false: their fixed forms
    bool drop_last = false;    // leave out a last batch that is not full
    bool join_single = false;  // a last sample that is alone comes with the batch before it: statistics of a
                               // batch need two
    int workers = -1;          // threads; 0: batches are made in the caller's; -1: 0 for quick sets, else 2
    int64_t prefetch = 4;      // batches that may be ready or in work ahead of the caller
    uint64_t seed = 0;
    std::shared_ptr<const Sampler> sampler{};  // says which samples an epoch has, instead of `shuffle`
    OnCorrupt on_corrupt = OnCorrupt::stop;
    std::shared_ptr<CorruptSamples> corrupt{};  // takes note of what was not read; may be null
};

class Loader {
public:
    /// Where the loader stands: `batch` is the next one to come.
    struct Position {
        int64_t epoch = 0;
        int64_t batch = 0;
        bool operator==(const Position&) const = default;
    };

    /// Starts at epoch 0. Throws Error on impossible options.
    Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    /// The next batch; nothing once at the end of each epoch, after which the next call begins the following
    /// epoch. What a worker threw is thrown here, at the batch where it happened and at each call until the
    /// position changes. Throws Error when samples are replaced and none of the epoch can be read.
    [[nodiscard]] std::optional<Batch> next();

    /// Drops what was prepared and continues there: bit for bit what an uninterrupted run would give.
    void seek(const Position& position);
    [[nodiscard]] Position position() const;
    void start_epoch(int64_t epoch) { seek({epoch, 0}); }
    /// As above with an order of the caller's (any length, repetitions welcome) for this epoch only: a
    /// sampling distribution. Who saves the position saves `order()` too.
    void seek(const Position& position, std::vector<int64_t> order);

    /// The sample numbers of the present epoch in their order.
    [[nodiscard]] const std::vector<int64_t>& order() const;
    [[nodiscard]] int64_t batches_per_epoch() const;
    [[nodiscard]] const Dataset& dataset() const;
    [[nodiscard]] const LoaderOptions& options() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// The shuffled order of an epoch without a sampler: a permutation of 0..size-1.
[[nodiscard]] std::vector<int64_t> epoch_order(int64_t size, uint64_t seed, int64_t epoch);

}  // namespace backlight
