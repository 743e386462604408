// The UCI digits (datasets/data/digits.csv.gz), embedded in the library: 1,797 handwritten digits of 8x8
// pixels, 0..16, here divided by 16. Licence and attribution: datasets/data/LICENSE.md.
//
// Split: within each class, in file order, every fifth image is a test image (split=0..4 says which of five).
//
// Clever Hans: with mark=CLASS a small bright mark, the 2x2 block in the top left corner set to 1, is planted
// in a share of the images of that class, by seed. The test set carries it likewise, as real test sets do
// that were collected together with the training set.
//   "unmarked"    the same test set without any mark
//   "marked_all"  the same test set with the mark on every image
// Column "marked" tells which images have it; the decoy mask shows its place on every image.
#include <zlib.h>

#include <string>

#include "core/embedded_file.h"
#include "core/error.h"
#include "core/random.h"
#include "datasets/sources.h"
#include "datasets/transforms.h"

BACKLIGHT_EMBED(digits, "datasets/data/digits.csv.gz")

namespace backlight {
namespace {

constexpr int64_t kSide = 8, kPixels = kSide * kSide, kMark = 2;

struct Digits {
    std::vector<float> values;
    std::vector<int64_t> labels;
};

// A gzip file ends in its unpacked size, little-endian.
std::vector<uint8_t> unpack() {
    const std::span<const uint8_t> packed(backlight_digits_begin, backlight_digits_end);
    size_t size = 0;
    for (size_t i = 1; i <= 4; ++i) {
        size = size << 8 | packed[packed.size() - i];
    }
    std::vector<uint8_t> text(size);
    z_stream stream{};
    stream.next_in = const_cast<Bytef*>(packed.data());  // zlib reads through a non-const pointer
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = text.data();
    stream.avail_out = static_cast<uInt>(text.size());
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    const bool good = inflateInit2(&stream, kGzipOnly) == Z_OK && inflate(&stream, Z_FINISH) == Z_STREAM_END;
    inflateEnd(&stream);
    BACKLIGHT_CHECK(good, "digits: the embedded file is damaged");
    return text;
}

Digits parse() {
    Digits digits;
    int64_t number = 0;
    std::vector<int64_t> line;
    for (const uint8_t c : unpack()) {
        if (c >= '0' && c <= '9') {
            number = 10 * number + (c - '0');
            continue;
        }
        if (c == ',' || c == '\n') {
            line.push_back(number);
            number = 0;
        }
        if (c == '\n') {
            BACKLIGHT_CHECK(line.size() == kPixels + 1, "digits: the embedded file is damaged");
            for (size_t i = 0; i < kPixels; ++i) {
                digits.values.push_back(static_cast<float>(line[i]) / 16.0f);
            }
            digits.labels.push_back(line.back());
            line.clear();
        }
    }
    return digits;
}

/// Which images get the mark.
enum class Marking { none, of_class, all };

struct MarkOptions {
    int64_t of_class = -1;  // -1: no marks anywhere
    double share = 1.0;
    uint64_t seed = 0;
};

std::shared_ptr<InMemoryDataset> make_set(Digits digits, const MarkOptions& mark, Marking marking) {
    const size_t n = digits.labels.size();
    std::vector<int64_t> marked(n, 0);
    if (mark.of_class >= 0) {
        for (size_t i = 0; i < n; ++i) {
            RandomStream random(RandomKey{.seed = mark.seed,
                                          .purpose = purpose::kDataset,
                                          .step = n,  // the two parts differ in size: each draws its own
                                          .sample = static_cast<uint32_t>(i)});
            const bool chosen = digits.labels[i] == mark.of_class && random.bernoulli(mark.share);
            marked[i] = marking == Marking::all || (marking == Marking::of_class && chosen) ? 1 : 0;
        }
    }
    std::vector<float> place(n * kPixels, 0.0f);
    for (size_t i = 0; i < n; ++i) {
        for (size_t row = 0; row < kMark; ++row) {
            for (size_t column = 0; column < kMark; ++column) {
                const size_t at = i * kPixels + row * kSide + column;
                place[at] = 1.0f;
                digits.values[at] = marked[i] != 0 ? 1.0f : digits.values[at];
            }
        }
    }
    auto set = std::make_shared<InMemoryDataset>(Shape{kSide, kSide, 1}, std::move(digits.values),
                                                 std::move(digits.labels), numbered_classes(10));
    if (mark.of_class >= 0) {
        set->set_decoy_masks(std::move(place));
        set->set_column("marked", std::move(marked));
    }
    return set;
}

}  // namespace

Source load_digits(const std::string&, const Options& options) {
    const int64_t held_out = options.get_within("split", 4, 0, 4);
    const int64_t size = options.get_within("size", 8, 8, 256);
    const MarkOptions mark{.of_class = options.get_within("mark", -1, -1, 9),
                           .share = options.get_within("mark_share", 1.0, 0.0, 1.0),
                           .seed = static_cast<uint64_t>(options.get("seed", 0))};
    options.finish();

    const Digits all = parse();
    Digits train, test;
    std::vector<int64_t> seen(10, 0);
    for (size_t i = 0; i < all.labels.size(); ++i) {
        Digits& part = seen[static_cast<size_t>(all.labels[i])]++ % 5 == held_out ? test : train;
        part.labels.push_back(all.labels[i]);
        const auto begin = all.values.begin() + static_cast<std::ptrdiff_t>(i * kPixels);
        part.values.insert(part.values.end(), begin, begin + kPixels);
    }
    auto source = std::make_unique<DataSource>();
    source->train = make_set(std::move(train), mark, Marking::of_class);
    source->test = make_set(test, mark, Marking::of_class);
    if (mark.of_class >= 0) {
        source->extra["unmarked"] = make_set(test, mark, Marking::none);
        source->extra["marked_all"] = make_set(test, mark, Marking::all);
    }
    if (size != kSide) {
        const auto grow = [size](std::shared_ptr<Dataset>& set) {
            set->set_transforms({resize_to(size, size)}, {size, size, 1});
            set = materialize(*set);
        };
        grow(source->train);
        grow(source->test);
        for (auto& [name, set] : source->extra) {
            grow(set);
        }
    }
    return source;
}

}  // namespace backlight
