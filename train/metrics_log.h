// metrics.jsonl: one JSON object a line, each written in one piece, so that a killed run leaves whole lines.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "train/evaluation.h"

namespace backlight {

/// A number for JSON, which knows neither infinity nor NaN: null stands for them.
[[nodiscard]] nlohmann::json finite_or_null(double value);
[[nodiscard]] nlohmann::json to_json(const Evaluation& evaluation);

class MetricsLog {
public:
    /// Opens for appending; keeps the first `keep_bytes` of an existing file (0: starts anew). An empty path:
    /// no log.
    MetricsLog(const std::filesystem::path& path, int64_t keep_bytes);
    ~MetricsLog();
    MetricsLog(const MetricsLog&) = delete;
    MetricsLog& operator=(const MetricsLog&) = delete;

    /// Appends the line and its end. Throws SystemError when the disk takes it not.
    void write(const std::string& line);
    [[nodiscard]] int64_t bytes() const { return bytes_; }

private:
    int file_ = -1;
    int64_t bytes_ = 0;
    std::string path_;
};

}  // namespace backlight
