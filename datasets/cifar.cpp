// CIFAR-10 and CIFAR-100, binary version: records of one label byte (CIFAR-100: coarse, fine) and 3,072 pixel
// bytes, 1,024 red, 1,024 green, 1,024 blue, each row by row. The number of records comes from the file size.
// Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
#include <algorithm>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/files.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 32, kPixels = kSide * kSide, kChannels = 3;

std::vector<std::string> class_names(const std::filesystem::path& file, int64_t classes) {
    std::vector<std::string> names = read_lines(file);
    BACKLIGHT_CHECK(static_cast<int64_t>(names.size()) == classes, file.string(), ": expected ", classes,
                    " class names, got ", names.size());
    return names;
}

std::shared_ptr<InMemoryDataset> make_set(LabelledBytes data, const std::vector<std::string>& names,
                                          int64_t limit, bool use_coarse) {
    const auto keep = [limit](std::vector<int64_t>& labels) {
        if (limit > 0 && limit < static_cast<int64_t>(labels.size())) {
            labels.resize(static_cast<size_t>(limit));
        }
    };
    keep(data.labels);
    keep(data.coarse_labels);
    data.values.resize(data.labels.size() * static_cast<size_t>(kPixels * kChannels));
    std::vector<int64_t> coarse = data.coarse_labels;
    auto set = std::make_shared<InMemoryDataset>(
        data.shape, std::move(data.values),
        use_coarse ? std::move(data.coarse_labels) : std::move(data.labels), names);
    if (!coarse.empty()) {
        set->set_column("coarse", std::move(coarse));
    }
    return set;
}

}  // namespace

LabelledBytes read_cifar(const std::vector<std::filesystem::path>& files, int64_t label_bytes,
                         int64_t classes) {
    const int64_t record = label_bytes + kPixels * kChannels;
    LabelledBytes data{.shape = {kSide, kSide, kChannels}, .values = {}, .labels = {}, .coarse_labels = {}};
    for (const auto& file : files) {
        const std::vector<uint8_t> bytes = read_gzip_or_plain(file);
        const auto size = static_cast<int64_t>(bytes.size());
        BACKLIGHT_CHECK(size > 0 && size % record == 0, file.string(), ": ", size,
                        " bytes are not a whole number of ", record, "-byte records (truncated?)");
        for (int64_t i = 0; i < size / record; ++i) {
            const uint8_t* in = bytes.data() + i * record;
            const int64_t label = in[label_bytes - 1];
            BACKLIGHT_CHECK(label < classes, file.string(), ": label ", label, " of record ", i,
                            " is not in 0..", classes - 1);
            data.labels.push_back(label);
            if (label_bytes == 2) {
                BACKLIGHT_CHECK(in[0] < 20, file.string(), ": coarse label ", int{in[0]}, " of record ", i,
                                " is not in 0..19");
                data.coarse_labels.push_back(in[0]);
            }
            // (C, H, W) -> (H, W, C)
            const size_t begin = data.values.size();
            data.values.resize(begin + static_cast<size_t>(kPixels * kChannels));
            for (int64_t p = 0; p < kPixels; ++p) {
                for (int64_t c = 0; c < kChannels; ++c) {
                    data.values[begin + static_cast<size_t>(p * kChannels + c)] =
                        in[label_bytes + c * kPixels + p];
                }
            }
        }
    }
    return data;
}

Source load_cifar10(const std::string& place, const Options& options) {
    const ImageOptions image =
        image_options(options, {.mean = {0.4914f, 0.4822f, 0.4465f}, .std = {0.2470f, 0.2435f, 0.2616f}});
    options.finish();
    const std::filesystem::path folder(place);
    check_folder(folder, options.owner());
    std::vector<std::filesystem::path> files;
    for (int i = 1; i <= 5; ++i) {
        files.push_back(folder / concat_text("data_batch_", i, ".bin"));
    }
    const std::vector<std::string> names = class_names(folder / "batches.meta.txt", 10);
    auto source = std::make_unique<DataSource>();
    source->train = make_set(read_cifar(files, 1, 10), names, image.limit, false);
    source->test = make_set(read_cifar({folder / "test_batch.bin"}, 1, 10), names, image.limit_test, false);
    apply(image, *source);
    return source;
}

Source load_cifar100(const std::string& place, const Options& options) {
    const ImageOptions image =
        image_options(options, {.mean = {0.5071f, 0.4865f, 0.4409f}, .std = {0.2673f, 0.2564f, 0.2762f}});
    const bool coarse = options.choose("labels", "fine", {"fine", "coarse"}) == "coarse";
    options.finish();
    const std::filesystem::path folder(place);
    check_folder(folder, options.owner());
    const std::vector<std::string> names = coarse ? class_names(folder / "coarse_label_names.txt", 20)
                                                  : class_names(folder / "fine_label_names.txt", 100);
    auto source = std::make_unique<DataSource>();
    source->train = make_set(read_cifar({folder / "train.bin"}, 2, 100), names, image.limit, coarse);
    source->test = make_set(read_cifar({folder / "test.bin"}, 2, 100), names, image.limit_test, coarse);
    apply(image, *source);
    return source;
}

}  // namespace backlight
