// Weights that one run of an experiment hands to the next.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "layers/state.h"

namespace backlight {

/// A folder for weight files, gone at the end.
class WeightFolder {
public:
    WeightFolder()
        : path_(std::filesystem::temp_directory_path() / concat_text("backlight-reproduce-", ::getpid())) {
        std::filesystem::create_directories(path_);
    }
    ~WeightFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    WeightFolder(const WeightFolder&) = delete;
    WeightFolder& operator=(const WeightFolder&) = delete;
    [[nodiscard]] std::string save(Module& net, const std::string& name) const {
        const std::filesystem::path file = path_ / (name + ".safetensors");
        write_safetensors(file, state_dict(net), {{"format", "pt"}});
        return file.string();
    }

private:
    std::filesystem::path path_;
};

}  // namespace backlight
