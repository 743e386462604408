#include "datasets/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "core/error.h"
#include "core/profile.h"
#include "core/random.h"
#include "datasets/sampler.h"

namespace backlight {
namespace {

/// A batch in plain memory: workers make these, tensors are made by the caller's thread, whose backend they
/// belong to.
struct Prepared {
    std::vector<int64_t> indices;  // of the samples that are in it
    std::vector<float> input, mask, decoy;
    std::exception_ptr error;
};

struct Order {
    std::vector<int64_t> indices;
    std::vector<uint32_t> repeats;  // how often each came up before; empty if nothing repeats
};

std::vector<uint32_t> count_repeats(const std::vector<int64_t>& indices, int64_t samples) {
    std::vector<uint32_t> seen(static_cast<size_t>(samples), 0);
    std::vector<uint32_t> repeats;
    for (const int64_t index : indices) {
        repeats.push_back(seen[static_cast<size_t>(index)]++);
    }
    return repeats;
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t size, uint64_t seed, int64_t epoch) {
    return RandomStream(
               RandomKey{.seed = seed, .purpose = purpose::kOrder, .step = static_cast<uint64_t>(epoch)})
        .permutation(size);
}

// The mutex guards everything below it. A batch is `taken` in order by a worker, is in `ready` until the
// caller asks for it, and belongs to one `generation`: seeking starts the next one, and what older ones still
// work on is dropped.
struct Loader::Impl {
    std::shared_ptr<const Dataset> dataset;
    LoaderOptions options;
    std::vector<std::thread> workers;

    std::mutex mutex;
    std::condition_variable work_for_workers, ready_for_caller;
    bool stop = false;
    uint64_t generation = 0;
    Position position;
    int64_t taken = 0;                   // the next batch that a worker takes
    std::shared_ptr<const Order> order;  // replaced, never changed: workers may hold the old one
    std::map<int64_t, Prepared> ready;
    std::vector<Prepared>
        spare;  // whose memory the next batches take: fresh pages cost as much as filling them

    ~Impl() {
        {
            const std::lock_guard lock(mutex);
            stop = true;
        }
        work_for_workers.notify_all();
        for (std::thread& worker : workers) {
            worker.join();
        }
    }

    [[nodiscard]] int64_t batches_of(const Order& in) const {
        const auto samples = static_cast<int64_t>(in.indices.size());
        const int64_t full = samples / options.batch_size, rest = samples % options.batch_size;
        const bool joins = options.join_single && rest == 1 && full > 0;
        return full + (rest > 0 && !options.drop_last && !joins ? 1 : 0);
    }
    [[nodiscard]] int64_t batches() const { return batches_of(*order); }

    /// How many samples a batch has.
    [[nodiscard]] size_t count_of(const Order& in, int64_t batch) const {
        const int64_t left = static_cast<int64_t>(in.indices.size()) - batch * options.batch_size;
        const bool takes_all = !options.drop_last && batch + 1 == batches_of(in);
        return static_cast<size_t>(takes_all ? left : options.batch_size);
    }

    /// Reads the sample at this place of the order, or the one that replaces it; returns its number, or
    /// nothing when it is to be left out.
    [[nodiscard]] std::optional<int64_t> read(const Order& in, size_t place, int64_t epoch,
                                              const SampleSlot& slot) const {
        const size_t tries = options.on_corrupt == OnCorrupt::replace ? in.indices.size() : 1;
        std::string reason;
        for (size_t i = 0; i < tries; ++i) {
            const size_t at = (place + i) % in.indices.size();
            const int64_t index = in.indices[at];
            std::optional<RandomDraw> draw;
            if (options.augment) {
                constexpr uint32_t kReplacement = 1U << 31;  // unlike the sample in its own place
                const uint32_t repeat = in.repeats.empty() ? 0 : in.repeats[at];
                draw = RandomDraw{.seed = options.seed,
                                  .epoch = static_cast<uint64_t>(epoch),
                                  .repeat = i == 0 ? repeat : repeat | kReplacement};
            }
            try {
                dataset->read(index, draw, slot);
                return index;
            } catch (const CorruptSample& error) {
                if (options.on_corrupt == OnCorrupt::stop) {
                    throw;
                }
                reason = error.what();
                if (options.corrupt) {
                    options.corrupt->add(*dataset, index, reason);
                }
            }
        }
        BACKLIGHT_CHECK(options.on_corrupt == OnCorrupt::leave_out, "loader: none of the ", in.indices.size(),
                        " samples can be read; the last: ", reason);
        return std::nullopt;
    }

    /// Into the memory of `prepared`, whatever it held.
    [[nodiscard]] Prepared prepare(const Order& in, int64_t batch, int64_t epoch, Prepared prepared) const {
        try {
            prepared.indices.clear();
            const size_t count = count_of(in, batch);
            const auto first = static_cast<size_t>(batch * options.batch_size);
            const auto values = static_cast<size_t>(dataset->sample_shape().numel());
            const auto plane = static_cast<size_t>(dataset->mask_shape().numel());
            prepared.input.resize(count * values);
            prepared.mask.resize(dataset->has_masks() ? count * plane : 0);
            prepared.decoy.resize(dataset->has_decoy_masks() ? count * plane : 0);
            for (size_t i = 0; i < count; ++i) {
                const size_t filled = prepared.indices.size();
                SampleSlot slot{.input = std::span(prepared.input).subspan(filled * values, values),
                                .mask = {},
                                .decoy = {}};
                if (!prepared.mask.empty()) {
                    slot.mask = std::span(prepared.mask).subspan(filled * plane, plane);
                }
                if (!prepared.decoy.empty()) {
                    slot.decoy = std::span(prepared.decoy).subspan(filled * plane, plane);
                }
                if (const auto index = read(in, first + i, epoch, slot)) {
                    prepared.indices.push_back(*index);
                }
            }
            const size_t filled = prepared.indices.size();
            prepared.input.resize(filled * values);
            prepared.mask.resize(prepared.mask.empty() ? 0 : filled * plane);
            prepared.decoy.resize(prepared.decoy.empty() ? 0 : filled * plane);
        } catch (...) {
            prepared = {};
            prepared.error = std::current_exception();
        }
        return prepared;
    }

    [[nodiscard]] Prepared take_spare() {
        Prepared prepared;
        if (!spare.empty()) {
            prepared = std::move(spare.back());
            spare.pop_back();
        }
        return prepared;
    }

    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            work_for_workers.wait(lock, [this] {
                return stop || (taken < batches() && taken < position.batch + options.prefetch);
            });
            if (stop) {
                return;
            }
            const int64_t batch = taken++;
            const int64_t epoch = position.epoch;
            const uint64_t mine = generation;
            const auto held = order;
            Prepared prepared = take_spare();
            lock.unlock();
            prepared = prepare(*held, batch, epoch, std::move(prepared));
            lock.lock();
            if (mine == generation) {
                ready.emplace(batch, std::move(prepared));
                ready_for_caller.notify_one();
            } else {
                spare.push_back(std::move(prepared));
            }
        }
    }

    void restart(const Position& to, Order new_order) {
        auto shared = std::make_shared<const Order>(std::move(new_order));
        {
            const std::lock_guard lock(mutex);
            order.swap(shared);
            if (to.batch < 0 || to.batch > batches() || to.epoch < 0) {
                order.swap(shared);
                throw_error(concat_text("loader: no batch ", to.batch, " of epoch ", to.epoch));
            }
            ++generation;
            position = to;
            taken = to.batch;
            ready.clear();
        }
        work_for_workers.notify_all();
    }

    /// The batch at the present position, with the lock held.
    Prepared fetch(std::unique_lock<std::mutex>& lock) {
        if (workers.empty()) {
            return prepare(*order, position.batch, position.epoch, take_spare());
        }
        ready_for_caller.wait(lock, [this] { return ready.contains(position.batch); });
        const auto it = ready.find(position.batch);
        if (it->second.error) {
            return it->second;  // stays, so that the next call throws it again
        }
        Prepared prepared = std::move(it->second);
        ready.erase(it);
        return prepared;
    }

    [[nodiscard]] Order natural_order(int64_t epoch) const {
        if (options.sampler) {
            std::vector<int64_t> indices = options.sampler->order(options.seed, epoch);
            std::vector<uint32_t> repeats = count_repeats(indices, dataset->size());
            return {std::move(indices), std::move(repeats)};
        }
        if (options.shuffle) {
            return {epoch_order(dataset->size(), options.seed, epoch), {}};
        }
        std::vector<int64_t> rising(static_cast<size_t>(dataset->size()));
        std::iota(rising.begin(), rising.end(), int64_t{0});
        return {std::move(rising), {}};
    }
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>()) {
    BACKLIGHT_CHECK(options.batch_size > 0, "loader: expected batch_size > 0, got ", options.batch_size);
    BACKLIGHT_CHECK(options.workers >= -1 && options.workers <= 256,
                    "loader: expected -1 to 256 workers, got ", options.workers);
    BACKLIGHT_CHECK(options.prefetch > 0, "loader: expected prefetch > 0, got ", options.prefetch);
    impl_->dataset = std::move(dataset);
    impl_->options = options;
    impl_->restart({}, impl_->natural_order(0));
    const int workers = options.workers >= 0 ? options.workers : (impl_->dataset->is_quick() ? 0 : 2);
    for (int i = 0; i < workers; ++i) {
        impl_->workers.emplace_back([impl = impl_.get()] { impl->work(); });
    }
}

Loader::~Loader() = default;

std::optional<Batch> Loader::next() {
    const Span span("loader");  // what the caller waits for
    while (true) {
        std::unique_lock lock(impl_->mutex);
        if (impl_->position.batch >= impl_->batches()) {
            const int64_t epoch = impl_->position.epoch + 1;
            lock.unlock();
            impl_->restart({epoch, 0}, impl_->natural_order(epoch));
            return std::nullopt;
        }
        Prepared prepared = impl_->fetch(lock);
        if (prepared.error) {
            std::rethrow_exception(prepared.error);
        }
        ++impl_->position.batch;
        lock.unlock();
        impl_->work_for_workers.notify_one();
        std::optional<Batch> batch;
        if (!prepared.indices.empty()) {
            batch = impl_->dataset->assemble(prepared.indices, prepared.input, prepared.mask, prepared.decoy);
        }
        lock.lock();
        impl_->spare.push_back(std::move(prepared));
        if (batch) {
            return batch;
        }
    }
}

void Loader::seek(const Position& position) {
    impl_->restart(position, impl_->natural_order(position.epoch));
}

void Loader::seek(const Position& position, std::vector<int64_t> order) {
    for (const int64_t index : order) {
        BACKLIGHT_CHECK(index >= 0 && index < impl_->dataset->size(), "loader: index ", index,
                        " is not in 0..", impl_->dataset->size() - 1);
    }
    std::vector<uint32_t> repeats = count_repeats(order, impl_->dataset->size());
    impl_->restart(position, {std::move(order), std::move(repeats)});
}

// Position and order change only in the caller's thread: reading them needs no lock.
Loader::Position Loader::position() const { return impl_->position; }
const std::vector<int64_t>& Loader::order() const { return impl_->order->indices; }
int64_t Loader::batches_per_epoch() const { return impl_->batches(); }
const Dataset& Loader::dataset() const { return *impl_->dataset; }
const LoaderOptions& Loader::options() const { return impl_->options; }

}  // namespace backlight
