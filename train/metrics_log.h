// metrics.jsonl: one JSON object a line, each written in one piece, so that a killed run leaves whole lines.
#pragma once

#include <filesystem>
#include <string>

namespace backlight {

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
