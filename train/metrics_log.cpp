#include "train/metrics_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace backlight {

nlohmann::json finite_or_null(double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json to_json(const Evaluation& evaluation) {
    const bool multi_label = evaluation.is_multi_label();
    nlohmann::json per_class = nlohmann::json::array();
    for (const double score : multi_label ? evaluation.average_precision : evaluation.class_accuracy()) {
        per_class.push_back(finite_or_null(score));
    }
    if (multi_label) {
        return {{"loss", finite_or_null(evaluation.loss)},
                {"mean_average_precision", finite_or_null(evaluation.score())},
                {"samples", evaluation.samples},
                {"average_precision", per_class}};
    }
    nlohmann::json json = {{"loss", finite_or_null(evaluation.loss)},
                           {"accuracy", evaluation.accuracy},
                           {"samples", evaluation.samples},
                           {"class_accuracy", per_class}};
    if (evaluation.top_k > 0) {
        json[concat_text("top", evaluation.top_k, "_accuracy")] = evaluation.top_k_accuracy;
    }
    return json;
}

MetricsLog::MetricsLog(const std::filesystem::path& path, int64_t keep_bytes) : path_(path.string()) {
    if (path.empty()) {
        return;
    }
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct stat status {};
    if (file_ < 0 || ::fstat(file_, &status) != 0) {
        throw SystemError(concat_text(path_, ": cannot be opened: ", std::strerror(errno)));
    }
    bytes_ = std::min<int64_t>(keep_bytes, status.st_size);
    if (::ftruncate(file_, bytes_) != 0) {
        throw SystemError(
            concat_text(path_, ": cannot be cut to ", bytes_, " bytes: ", std::strerror(errno)));
    }
}

MetricsLog::~MetricsLog() {
    if (file_ >= 0) {
        ::close(file_);
    }
}

void MetricsLog::write(const std::string& line) {
    if (file_ < 0) {
        return;
    }
    const std::string whole = line + "\n";
    if (::write(file_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) {
        throw SystemError(concat_text(path_, ": cannot be written: ", std::strerror(errno)));
    }
    bytes_ += static_cast<int64_t>(whole.size());
}

}  // namespace backlight
