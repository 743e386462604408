// What the registry's table points to: one function a data set, from its place and options to its splits.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "datasets/in_memory.h"
#include "datasets/registry.h"

namespace backlight {

/// Options that every reader of images shares:
///   normalize=dataset|imagenet|symmetric|none   (x - mean) / std; symmetric is [-1, 1], none leaves [0, 1]
///   mean=a:b:c, std=a:b:c                       instead
///   size=S                                      resized to S x S
///   flip=true, crop=P                           training set: random mirror; random crop after padding by P
///   limit=N, limit_test=N                       fewer images
struct ImageOptions {
    Normalization normalization;
    int64_t size = 0;
    int64_t crop = 0;
    bool flip = false;
    int64_t limit = 0, limit_test = 0;  // 0: all
};
/// `own` is what "dataset" stands for.
[[nodiscard]] ImageOptions image_options(const Options& options, const Normalization& own);
/// Sets transforms and normalisation of both parts. Folders, whose images differ in size, do it themselves.
void apply(const ImageOptions& options, DataSource& source);

/// And what readers of pictures of different sizes share besides:
///   resize=S      shorter side before the central window of `size`, default `size`
///   augment=crop            training set: a window at a random place instead
///   augment=resized_crop    training set: torchvision's RandomResizedCrop instead
struct PictureOptions {
    enum class Window { center, random, resized };
    ImageOptions image;
    int64_t resize = 0;
    Window training = Window::center;
};
/// `size`: what the option of that name is when it is not given; 0: pictures stay as they are.
[[nodiscard]] PictureOptions picture_options(const Options& options, int64_t size);
/// Sets transforms and normalisation of both parts; `shape` is what they make of a picture.
void apply(const PictureOptions& picture, const Shape& shape, DataSource& source);

/// mean 0.485 0.456 0.406, std 0.229 0.224 0.225: what torchvision's weights were trained with.
[[nodiscard]] Normalization imagenet_normalization();

struct LabelledBytes {
    Shape shape;  // of one sample, (H, W, C)
    std::vector<uint8_t> values;
    std::vector<int64_t> labels;
    std::vector<int64_t> coarse_labels;  // CIFAR-100
};
/// idx files as MNIST has them, plain or gzip: magic 2051 (or 2052: four axes) and 2049. Throws Error that
/// names the file when magic, sizes or counts are wrong.
[[nodiscard]] LabelledBytes read_idx(const std::filesystem::path& images,
                                     const std::filesystem::path& labels);
/// CIFAR's binary version: records of label bytes and 3,072 pixels, plane by plane. The count comes from the
/// file size.
[[nodiscard]] LabelledBytes read_cifar(const std::vector<std::filesystem::path>& files, int64_t label_bytes,
                                       int64_t classes);

struct AdienceOptions {
    bool gender = false;    // labels are m 0, f 1 instead of the eight age groups
    bool map_ages = false;  // other ages go to the nearest group instead of being left out
    bool coarse = false;    // faces/ instead of aligned/
};
struct AdienceRow {
    std::string picture;  // its path in the folder
    int64_t label = 0;
};
/// The rows of a fold file that have a label. By default those of the authors' own lists: the eight exact age
/// groups, or m and f. Throws Error that names the line on anything that no row of theirs holds.
[[nodiscard]] std::vector<AdienceRow> read_adience(const std::filesystem::path& fold,
                                                   const AdienceOptions& options);

/// `limit` of them, evenly spread; all if it is 0.
template <typename Entry>
void thin(std::vector<Entry>& entries, int64_t limit) {
    const auto n = static_cast<int64_t>(entries.size());
    if (limit > 0 && limit < n) {
        std::vector<Entry> kept;
        for (int64_t i = 0; i < limit; ++i) {
            kept.push_back(entries[static_cast<size_t>(i * n / limit)]);
        }
        entries = std::move(kept);
    }
}

using Source = std::unique_ptr<DataSource>;
[[nodiscard]] Source load_digits(const std::string& place, const Options& options);
[[nodiscard]] Source load_mnist(const std::string& place, const Options& options);
[[nodiscard]] Source load_fashion_mnist(const std::string& place, const Options& options);
[[nodiscard]] Source load_idx(const std::string& place, const Options& options);
[[nodiscard]] Source load_cifar10(const std::string& place, const Options& options);
[[nodiscard]] Source load_cifar100(const std::string& place, const Options& options);
[[nodiscard]] Source load_image_folder(const std::string& place, const Options& options);
[[nodiscard]] Source load_oxford_pets(const std::string& place, const Options& options);
[[nodiscard]] Source load_voc2012(const std::string& place, const Options& options);
[[nodiscard]] Source load_adience(const std::string& place, const Options& options);
[[nodiscard]] Source load_toy1(const std::string& place, const Options& options);
[[nodiscard]] Source load_toy2(const std::string& place, const Options& options);
[[nodiscard]] Source load_toy3(const std::string& place, const Options& options);
[[nodiscard]] Source load_moons(const std::string& place, const Options& options);
[[nodiscard]] Source load_circles(const std::string& place, const Options& options);
[[nodiscard]] Source load_spirals(const std::string& place, const Options& options);
[[nodiscard]] Source load_shapes16(const std::string& place, const Options& options);
[[nodiscard]] Source load_context16(const std::string& place, const Options& options);
[[nodiscard]] Source load_zoom32(const std::string& place, const Options& options);
[[nodiscard]] Source load_fewshot16(const std::string& place, const Options& options);
[[nodiscard]] Source load_shapes12(const std::string& place, const Options& options);
[[nodiscard]] Source load_corner_decoy(const std::string& place, const Options& options);
[[nodiscard]] Source load_grey_decoy(const std::string& place, const Options& options);
[[nodiscard]] Source load_toy_colours(const std::string& place, const Options& options);
[[nodiscard]] Source load_regions(const std::string& place, const Options& options);
[[nodiscard]] Source load_shapes_imbalanced(const std::string& place, const Options& options);

}  // namespace backlight
