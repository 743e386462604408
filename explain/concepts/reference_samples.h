// What a channel stands for, shown by samples: those on which it is most relevant (relevance maximization) or
// most active (activation maximization), and the part of each picture that it saw. Source: Achtibat et al.,
// "From attribution maps to human-understandable explanations through concept relevance propagation", Nature
// Machine Intelligence, 2023.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "explain/explainer.h"

namespace backlight {

/// How the positions of a channel become one number a sample.
enum class PositionPooling : uint8_t { max, sum };

/// The best samples of each channel, kept while a data set runs by. The result does not depend on the order
/// or on the size of the batches.
class ReferenceSamples {
public:
    struct Entry {
        int64_t sample = 0;
        double value = 0;
        int64_t row = 0, column = 0;  // of the largest value; 0 in a vector
    };
    /// Throws Error unless there are channels and `keep` >= 1.
    ReferenceSamples(int64_t channels, int64_t keep = 40, PositionPooling pooling = PositionPooling::max);

    /// Relevance or activation at the layer, (N,h,w,C) or (N,C), of the samples `indices`. Throws Error when
    /// shapes do not fit or a value is not finite.
    void add(const Tensor& values, std::span<const int64_t> indices);

    /// At most `keep`, largest value first, equal ones by sample number.
    [[nodiscard]] const std::vector<Entry>& of(int64_t channel) const;
    [[nodiscard]] int64_t channels() const { return static_cast<int64_t>(best_.size()); }
    [[nodiscard]] int64_t samples_seen() const { return seen_; }

private:
    void offer(std::vector<Entry>& best, const Entry& entry) const;

    std::vector<std::vector<Entry>> best_;
    int64_t keep_;
    PositionPooling pooling_;
    int64_t seen_ = 0;
};

struct PictureWindow {
    int64_t top = 0, left = 0, height = 0, width = 0;
};
/// The pixels that position (row, column) of the layer depends on, one position a sample: the box around
/// where relevance arrives that every op spreads over all its inputs. Throws Error unless input and layer are
/// (N,h,w,C).
[[nodiscard]] std::vector<PictureWindow> receptive_fields(const ExplainedForward& forward,
                                                          const std::string& layer,
                                                          std::span<const std::array<int64_t, 2>> positions);

}  // namespace backlight
