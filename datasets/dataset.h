// Dataset: numbered samples with labels and, where a data set has them, ground-truth masks.
// A sample is read in three steps: `load` (as stored) -> transforms -> normalisation, y = (x - mean) / std
// per channel.
#pragma once

#include <cstdint>
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
    Tensor input;  // (H, W, C) or (D), f32, on the host
    int64_t label = 0;
    Tensor mask;        // (H, W) or (D), f32: what a prediction should rest on; undefined if there is none
    Tensor decoy_mask;  // likewise: what it must not rest on
};

struct Batch {
    Tensor input;                  // (N, H, W, C) or (N, D), f32
    Tensor label;                  // (N), i64
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
    /// index do.
    [[nodiscard]] virtual int64_t label(int64_t index) const = 0;
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
    /// (H, W), or (D) for vectors.
    [[nodiscard]] Shape mask_shape() const;
    [[nodiscard]] bool has_masks() const { return info_.has_mask; }
    [[nodiscard]] bool has_decoy_masks() const { return info_.has_decoy; }
    [[nodiscard]] const Normalization& normalization() const { return info_.normalization; }
    [[nodiscard]] virtual InputRange input_range() const;

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
    /// Samples of each class.
    [[nodiscard]] std::vector<int64_t> class_counts() const;

    /// For whoever builds the set, before it is read; a subset or a concatenation refuses with an Error.
    /// `sample_shape` is what the transforms make of a sample.
    virtual void set_transforms(std::vector<std::shared_ptr<const Transform>> transforms,
                                const Shape& sample_shape);
    /// One value per channel, or one for all. Throws Error on another number and on std <= 0.
    virtual void set_normalization(Normalization normalization);
    /// Range before normalisation, per channel or one for all.
    virtual void set_raw_range(std::vector<float> low, std::vector<float> high);

protected:
    struct Info {
        std::vector<std::string> class_names;
        Shape sample_shape;
        bool has_mask = false, has_decoy = false;
        Normalization normalization;
        std::vector<float> low{0.0f}, high{1.0f};  // before normalisation
        std::vector<std::shared_ptr<const Transform>> transforms;
    };
    void check_index(int64_t index) const;
    void normalize(std::span<float> input) const;
    Info info_;
};

/// Some samples of another data set, in a given order; repetitions are welcome.
[[nodiscard]] std::shared_ptr<Dataset> subset(std::shared_ptr<const Dataset> base,
                                              std::vector<int64_t> indices);
/// One data set behind the other. Throws Error unless sample shapes and class names agree. Masks and columns
/// stay where all parts have them.
[[nodiscard]] std::shared_ptr<Dataset> concatenate(std::vector<std::shared_ptr<const Dataset>> parts);

}  // namespace backlight
