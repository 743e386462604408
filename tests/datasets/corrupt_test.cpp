// Fault injection: samples that cannot be read, one of each kind among good ones.
#include "datasets/corrupt.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "core/io/image.h"
#include "datasets/loader.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

namespace fs = std::filesystem;

std::vector<uint8_t> jpeg() {
    std::ifstream file(fs::path(BACKLIGHT_SOURCE_DIR) / "tests/data/io/baseline.jpg", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The same picture, with a header that claims another size.
std::vector<uint8_t> jpeg_of_size(uint16_t height, uint16_t width) {
    std::vector<uint8_t> bytes = jpeg();
    const std::vector<uint8_t> frame{0xFF, 0xC0};  // then length, precision, height and width
    const auto at = std::search(bytes.begin(), bytes.end(), frame.begin(), frame.end());
    REQUIRE(bytes.end() - at > 9);
    at[5] = static_cast<uint8_t>(height >> 8);
    at[6] = static_cast<uint8_t>(height);
    at[7] = static_cast<uint8_t>(width >> 8);
    at[8] = static_cast<uint8_t>(width);
    return bytes;
}

std::vector<uint8_t> truncated(std::vector<uint8_t> bytes) {
    bytes.resize(bytes.size() / 2);
    return bytes;
}

/// Thirteen good pictures and eight bad ones, which come last in their class.
struct Folder {
    TemporaryFolder folder;
    std::vector<std::string> bad{"checksum.png", "deleted.jpg",   "empty.jpg", "huge.jpg",
                                 "text.jpg",     "truncated.jpg", "wide.jpg",  "zeros.jpg"};
    std::shared_ptr<DataSource> source;

    explicit Folder(int good = 13) {
        const fs::path a = folder.path() / "a", b = folder.path() / "b";
        for (int i = 0; i < good; ++i) {
            write_bytes(a / ("0" + std::to_string(10 + i) + ".jpg"), jpeg());
        }
        std::vector<uint8_t> png = encode_png(Tensor::full({9, 9, 3}, 100, DType::u8));
        png[png.size() - 20] ^= 1;
        write_bytes(b / "checksum.png", png);
        write_bytes(b / "deleted.jpg", jpeg());
        write_bytes(b / "empty.jpg", {});
        write_bytes(b / "huge.jpg", jpeg_of_size(30000, 30000));
        write_text(b / "text.jpg", "this is no picture");
        write_bytes(b / "truncated.jpg", truncated(jpeg()));
        write_bytes(b / "wide.jpg", jpeg_of_size(19, 30000));
        std::vector<uint8_t> zeros = jpeg();  // the coded rows overwritten: no such codes
        std::fill(zeros.end() - 40, zeros.end() - 2, uint8_t{0xEE});
        write_bytes(b / "zeros.jpg", zeros);
        source =
            load_data("folder:" + folder.text() + "(size=8, test_share=0, augment=resized_crop, flip=true)");
        fs::remove(b / "deleted.jpg");
    }
    [[nodiscard]] const std::shared_ptr<Dataset>& train() const { return source->train; }
};

/// While it lives no file can be opened.
class NoDescriptors {
public:
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &previous_);
        rlimit none = previous_;
        none.rlim_cur = 0;
        setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &previous_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit previous_{};
};

struct Seen {
    std::vector<std::vector<int64_t>> indices;
    std::vector<float> values;
    bool operator==(const Seen&) const = default;
};

Seen drain(Loader& loader, int epochs) {
    Seen seen;
    while (epochs > 0) {
        if (const auto batch = loader.next()) {
            CHECK(batch->input.dim(0) == batch->size());
            seen.indices.push_back(batch->indices);
            const std::vector<float> values = batch->input.to_vector<float>();
            seen.values.insert(seen.values.end(), values.begin(), values.end());
        } else {
            --epochs;
        }
    }
    return seen;
}

}  // namespace

TEST_CASE("corrupt: every kind of damage is a CorruptSample that names its file") {
    const Folder folder;
    for (size_t i = 0; i < folder.bad.size(); ++i) {
        CAPTURE(folder.bad[i]);
        const auto index = static_cast<int64_t>(13 + i);
        CHECK_THROWS_AS((void)folder.train()->get(index), CorruptSample);
        CHECK(contains(error_of([&] { (void)folder.train()->get(index); }), folder.bad[i]));
    }
    CHECK(readable(*folder.train(), {0, 13, 12, 20}) == std::vector<int64_t>{0, 12});
    // A mistake of the caller's is none.
    bool is_corrupt = false;
    try {
        (void)folder.train()->get(21);
    } catch (const CorruptSample&) {
        is_corrupt = true;
    } catch (const Error&) {
    }
    CHECK_FALSE(is_corrupt);
}

TEST_CASE("corrupt: by default the loader stops with the name") {
    const Folder folder;
    Loader loader(folder.train(), {.batch_size = 16, .shuffle = false, .workers = 2});
    CHECK(contains(error_of([&] { (void)loader.next(); }), "checksum.png: damaged PNG picture"));
}

TEST_CASE("corrupt: left out, samples make batches smaller and are counted once") {
    const Folder folder;
    for (const int workers : {0, 1, 2}) {
        const auto corrupt = std::make_shared<CorruptSamples>();
        Loader loader(folder.train(), {.batch_size = 4,
                                       .shuffle = false,
                                       .augment = false,
                                       .workers = workers,
                                       .on_corrupt = OnCorrupt::leave_out,
                                       .corrupt = corrupt});
        const Seen seen = drain(loader, 2);
        CHECK(seen.indices.size() == 8);  // batches 5 and 6 of an epoch are empty and do not come
        CHECK(seen.indices[3] == std::vector<int64_t>{12});
        CHECK(loader.position() == Loader::Position{2, 0});
        CHECK(corrupt->count() == 8);
        const std::string summary = corrupt->summary();
        CHECK(contains(summary, "skipped 8 samples that cannot be read: "));
        for (const std::string& name : folder.bad) {
            CHECK(contains(summary, name));
        }
    }
}

TEST_CASE("corrupt: replaced, batches stay full, and neither workers nor a restart change a bit") {
    const Folder folder;
    const auto options = [](int workers, bool augment = true) {
        return LoaderOptions{.batch_size = 4,
                             .augment = augment,
                             .workers = workers,
                             .seed = 5,
                             .on_corrupt = OnCorrupt::replace};
    };
    Loader fixed(folder.train(), options(0, false));
    const std::vector<int64_t> order = fixed.order();
    const Seen pictures = drain(fixed, 2);
    CHECK(pictures.indices.size() == 12);
    for (size_t i = 0; i < 21; ++i) {  // by the next in the order, the last ones by the first
        size_t at = i;
        while (order[at] >= 13) {
            at = (at + 1) % 21;
        }
        CHECK(pictures.indices[i / 4][i % 4] == order[at]);
    }
    // With random windows a damage below the window is not seen.
    Loader whole(folder.train(), options(0));
    const Seen all = drain(whole, 2);
    for (const int workers : {1, 3}) {
        Loader loader(folder.train(), options(workers));
        CHECK(drain(loader, 2) == all);
        loader.seek({1, 2});
        const Seen rest = drain(loader, 1);
        CHECK(std::equal(rest.indices.begin(), rest.indices.end(), all.indices.begin() + 8));
        CHECK(std::equal(rest.values.begin(), rest.values.end(),
                         all.values.end() - static_cast<std::ptrdiff_t>(rest.values.size())));
    }
    // A sample that stands in for others is transformed in another way each time it does.
    CHECK(std::set<float>(all.values.begin(), all.values.end()).size() > 100);
}

TEST_CASE("corrupt: when no sample can be read the loader says so") {
    Folder folder(1);
    fs::remove(folder.folder.path() / "a/010.jpg");
    Loader replace(folder.train(), {.workers = 1, .on_corrupt = OnCorrupt::replace});
    CHECK(contains(error_of([&] { (void)replace.next(); }),
                   "loader: none of the 9 samples can be read; the last: "));
    Loader leave_out(folder.train(), {.workers = 1, .on_corrupt = OnCorrupt::leave_out});
    CHECK_FALSE(leave_out.next().has_value());
}

TEST_CASE("corrupt: a file that the system cannot open is no sample to skip") {
    const Folder folder;
    const auto corrupt = std::make_shared<CorruptSamples>();
    for (const OnCorrupt what : {OnCorrupt::stop, OnCorrupt::leave_out, OnCorrupt::replace}) {
        Loader loader(folder.train(), {.workers = 0, .on_corrupt = what, .corrupt = corrupt});
        std::string text;
        try {
            const NoDescriptors none;
            (void)loader.next();
        } catch (const SystemError& error) {
            text = error.what();
        }
        CHECK(contains(text, "cannot read "));
        CHECK(contains(text, ": Too many open files"));
        CHECK(corrupt->count() == 0);
    }
}

TEST_CASE("corrupt: the summary names twenty and counts the rest") {
    const Folder folder;
    CorruptSamples corrupt;
    CHECK(corrupt.summary().empty());
    for (int i = 0; i < 25; ++i) {
        corrupt.add(*folder.train(), i, "file " + std::to_string(10 + i));
        corrupt.add(*folder.train(), i, "file " + std::to_string(10 + i) + " again");
    }
    CHECK(corrupt.count() == 25);
    CHECK(contains(corrupt.summary(), "skipped 25 samples that cannot be read: file 10; file 11; "));
    CHECK(contains(corrupt.summary(), "; file 29; and 5 more"));
    const std::vector<std::string> all = corrupt.reasons();
    CHECK(all.size() == 25);
    CHECK(all.front() == "file 10");
    CHECK(all.back() == "file 34");
}
