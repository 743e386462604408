#include "datasets/corrupt.h"

#include <algorithm>

#include "datasets/dataset.h"

namespace backlight {

void CorruptSamples::add(const Dataset& set, int64_t index, const std::string& reason) {
    const std::lock_guard lock(mutex_);
    reasons_.emplace(std::pair(&set, index), reason);
}

int64_t CorruptSamples::count() const {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(reasons_.size());
}

std::vector<std::string> CorruptSamples::reasons() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> texts;
    for (const auto& [sample, reason] : reasons_) {
        texts.push_back(reason);
    }
    std::sort(texts.begin(), texts.end());
    return texts;
}

std::string CorruptSamples::summary() const {
    constexpr size_t kShown = 20;
    const std::vector<std::string> texts = reasons();
    if (texts.empty()) {
        return "";
    }
    std::string summary = concat_text("skipped ", texts.size(), texts.size() == 1 ? " sample" : " samples",
                                      " that cannot be read");
    for (size_t i = 0; i < std::min(texts.size(), kShown); ++i) {
        summary += (i == 0 ? ": " : "; ") + texts[i];
    }
    return texts.size() > kShown ? concat_text(summary, "; and ", texts.size() - kShown, " more") : summary;
}

std::vector<int64_t> readable(const Dataset& set, const std::vector<int64_t>& indices) {
    std::vector<int64_t> kept;
    for (const int64_t index : indices) {
        try {
            (void)set.get(index);
            kept.push_back(index);
        } catch (const CorruptSample&) {  // left out
        }
    }
    return kept;
}

}  // namespace backlight
