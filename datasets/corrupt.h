// Samples that cannot be read: what counts as one, and the list of those that a run met.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace backlight {

class Dataset;

/// Dataset::read throws it when the sample's file is missing, damaged, of no known format or too large. The
/// text names the file.
class CorruptSample : public Error {
public:
    using Error::Error;
};

/// Safe to use from several threads.
class CorruptSamples {
public:
    /// A sample that is met again counts once.
    void add(const Dataset& set, int64_t index, const std::string& reason);
    [[nodiscard]] int64_t count() const;
    /// Of all, in alphabetical order; each names its file.
    [[nodiscard]] std::vector<std::string> reasons() const;
    /// "skipped 2 samples that cannot be read: DIR/a.jpg: truncated JPEG picture; DIR/b.jpg: ...", with up to
    /// 20 of the reasons; empty when there are none.
    [[nodiscard]] std::string summary() const;

private:
    mutable std::mutex mutex_;
    std::map<std::pair<const Dataset*, int64_t>, std::string> reasons_;
};

/// Those of the samples that can be read.
[[nodiscard]] std::vector<int64_t> readable(const Dataset& set, const std::vector<int64_t>& indices);

}  // namespace backlight
