// Dataset: numbered samples with labels and, where a data set has them, ground-truth masks.
// A sample is read in three steps: `load` (as stored) -> transforms -> normalisation, y = (x - mean) / std
// per channel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/picture.h"
#include "core/tensor.h"
#include "datasets/corrupt.h"
#include "datasets/image.h"

namespace backlight {

class Transform;

/// Keys the random transforms of a training epoch. Without a draw a transform takes its fixed form (centre
/// crop, no flip), so that a set can be looked at, explained or evaluated the same way twice.
struct RandomDraw {
    uint64_t seed = 0;
    uint64_t epoch = 0;
    uint32_t repeat = 0;  // how often the sample came up before in this epoch
};

/// What a multi-label sample says of a class: `ignored` (VOC: only objects marked difficult) counts neither
/// for nor against it, in no loss and no metric.
enum class Presence : int8_t { absent = 0, present = 1, ignored = -1 };

/// A sample as stored. Vectors are images of height 1 and width 1 with D channels.
struct RawSample {
    Image input;  // empty where there is a picture
    Image mask;   // one channel; empty if there is none
    Image decoy;  // one channel; empty if there is none
    /// Instead of `input`: it is decoded when the transforms have said which pixels they need.
    std::optional<PictureFile> picture{};
};

/// One sample as a network sees it.
struct Example {
    Tensor input;          // (H, W, C) or (D), f32, on the host
    int64_t label = -1;    // -1: the set is multi-label
    Tensor target;         // (K), f32, as in a batch; undefined unless the set is multi-label
    Tensor target_weight;  // likewise
    Tensor mask;           // (H, W) or (D), f32: what a prediction should rest on; undefined if there is none
    Tensor decoy_mask;     // likewise: what it must not rest on
};

struct Batch {
    Tensor input;                  // (N, H, W, C) or (N, D), f32
    Tensor label;                  // (N), i64; undefined in a multi-label set
    Tensor target;                 // (N, K), f32, multi-label: 1 present, 0 not; undefined otherwise
    Tensor target_weight;          // (N, K), f32: 0 where the class is to be ignored, 1 elsewhere
    Tensor soft_label;             // (N, K), f32: a distribution in the place of `label`; undefined where that holds
    Tensor sample_weight;          // (N), f32, of the loss; undefined: 1
    std::vector<int64_t> indices;  // which samples of the data set
    Tensor mask;                   // (N, H, W) or (N, D), f32; undefined if there is none
    Tensor decoy_mask;
    [[nodiscard]] int64_t size() const { return static_cast<int64_t>(indices.size()); }
};

/// Per channel; empty vectors stand for mean 0 and standard deviation 1.
struct Normalization {
    std::vector<float> mean;
    std::vector<float> std;
};

/// Lowest and highest value that an input may take, per channel, after normalisation: what box rules ask for.
struct InputRange {
    std::vector<float> low;
    std::vector<float> high;
};

/// Memory for one sample, filled by Dataset::read. An empty span is not filled.
struct SampleSlot {
    std::span<float> input;
    std::span<float> mask;
    std::span<float> decoy;
};

class Dataset {
public:
    Dataset() = default;
    Dataset(const Dataset&) = delete;
    Dataset& operator=(const Dataset&) = delete;
    virtual ~Dataset();

    [[nodiscard]] virtual int64_t size() const = 0;
    /// Without reading the sample. Throws Error when index is not in 0..size()-1, as all functions with an
    /// index do, and in a multi-label set.
    [[nodiscard]] virtual int64_t label(int64_t index) const = 0;
    /// Each class of the sample, without reading it. In a set with one label a sample, that one is present.
    [[nodiscard]] virtual std::vector<Presence> presence(int64_t index) const;
    /// The sample before transforms and normalisation. Safe to call from several threads.
    [[nodiscard]] virtual RawSample load(int64_t index) const = 0;
    /// True where reading takes no time worth a thread: the samples lie in memory and nothing is transformed.
    [[nodiscard]] virtual bool is_quick() const { return false; }
    /// Further facts of the samples, one number each ("marked", "shape", ...). Throws Error if unknown.
    [[nodiscard]] virtual const std::vector<int64_t>& column(std::string_view name) const;
    [[nodiscard]] virtual std::vector<std::string> column_names() const { return {}; }

    [[nodiscard]] const std::vector<std::string>& class_names() const { return info_.class_names; }
    [[nodiscard]] int64_t num_classes() const { return static_cast<int64_t>(info_.class_names.size()); }
    /// (H, W, C), or (D) for vectors.
    [[nodiscard]] const Shape& sample_shape() const { return info_.sample_shape; }
    /// How many pictures stand one above the other in a sample: 1, or 10 after `ten_crops`.
    [[nodiscard]] int64_t views() const { return info_.views; }
    /// (H, W), or (D) for vectors.
    [[nodiscard]] Shape mask_shape() const;
    [[nodiscard]] bool has_masks() const { return info_.has_mask; }
    [[nodiscard]] bool has_decoy_masks() const { return info_.has_decoy; }
    [[nodiscard]] const Normalization& normalization() const { return info_.normalization; }
    [[nodiscard]] virtual InputRange input_range() const;
    /// Samples have targets for each class (`presence`) instead of one label.
    [[nodiscard]] bool is_multi_label() const { return info_.multi_label; }
    /// Where one class is, (H, W), f32, as the mask of `get(index)` lies. Throws Error where masks know no
    /// classes.
    [[nodiscard]] virtual Tensor class_mask(int64_t index, int64_t class_number) const;

    /// One sample. Random transforms follow `draw`.
    [[nodiscard]] Example get(int64_t index, const std::optional<RandomDraw>& draw = {}) const;
    /// Several samples in the given order; repetitions are welcome.
    [[nodiscard]] Batch batch(std::span<const int64_t> indices,
                              const std::optional<RandomDraw>& draw = {}) const;
    /// All samples in order.
    [[nodiscard]] Batch all() const;
    /// One sample into memory of the right size, for loaders. Safe to call from several threads. Throws
    /// CorruptSample when the sample cannot be read, as all functions that read samples do.
    virtual void read(int64_t index, const std::optional<RandomDraw>& draw, const SampleSlot& slot) const;
    /// Tensors from memory that `read` filled. Empty vectors give undefined tensors.
    [[nodiscard]] Batch assemble(std::vector<int64_t> indices, const std::vector<float>& input,
                                 const std::vector<float>& mask, const std::vector<float>& decoy) const;

    [[nodiscard]] std::vector<int64_t> labels() const;
    /// Samples of each class; in a multi-label set those in which it is present.
    [[nodiscard]] std::vector<int64_t> class_counts() const;
    /// Which these are, in order.
    [[nodiscard]] std::vector<std::vector<int64_t>> samples_by_class() const;

    /// For whoever builds the set, before it is read; a subset or a concatenation refuses with an Error.
    /// `sample_shape` is what the transforms make of a sample.
    virtual void set_transforms(std::vector<std::shared_ptr<const Transform>> transforms,
                                const Shape& sample_shape);
    [[nodiscard]] const std::vector<std::shared_ptr<const Transform>>& transforms() const {
        return info_.transforms;
    }
    /// One value per channel, or one for all. Throws Error on another number and on std <= 0.
    virtual void set_normalization(Normalization normalization);
    /// Range before normalisation, per channel or one for all.
    virtual void set_raw_range(std::vector<float> low, std::vector<float> high);

protected:
    struct Info {
        std::vector<std::string> class_names;
        Shape sample_shape;
        bool has_mask = false, has_decoy = false, multi_label = false;
        int64_t views = 1;
        Normalization normalization;
        std::vector<float> low{0.0f}, high{1.0f};  // before normalisation
        std::vector<std::shared_ptr<const Transform>> transforms;
        std::vector<std::shared_ptr<const Transform>> windows;  // of several views: each one's last transform
    };
    void check_index(int64_t index) const;
    /// Throws Error unless the label is a class.
    [[nodiscard]] int64_t checked_label(int64_t index) const;
    void normalize(std::span<float> input) const;
    Info info_;
};

/// Some samples of another data set, in a given order; repetitions are welcome.
[[nodiscard]] std::shared_ptr<Dataset> subset(std::shared_ptr<const Dataset> base,
                                              std::vector<int64_t> indices);
/// One data set behind the other. Throws Error unless sample shapes, class names and kind of labels agree.
/// Masks and columns stay where all parts have them.
[[nodiscard]] std::shared_ptr<Dataset> concatenate(std::vector<std::shared_ptr<const Dataset>> parts);
/// Ten windows of each picture instead of its central one, in the order of torchvision's TenCrop: the four
/// corners (top left, top right, bottom left, bottom right), the centre, and the same of the mirrored
/// picture. A sample is the windows one above the other, (10 H, W, C), its masks likewise. Throws Error
/// unless the last transform of the set is a central window.
[[nodiscard]] std::shared_ptr<Dataset> ten_crops(std::shared_ptr<const Dataset> base);

/// The same samples with decoy masks from pictures, white where nothing may be read from: FOLDER/STEM.png of a picture
/// STEM.jpg, FOLDER/INDEX.png of samples that are no files. They go through the transforms of the set. Throws Error where
/// one is missing or has another size than its sample.
[[nodiscard]] std::shared_ptr<Dataset> with_decoy_masks(std::shared_ptr<const Dataset> base,
                                                        const std::filesystem::path& folder);

}  // namespace backlight
