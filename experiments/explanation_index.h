// index.json of a folder of explanations: an entry a map, and what has none. A later call finds there what
// it need not compute.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace backlight {

class ExplanationIndex {
public:
    /// Makes the folder, and reads the index that it may hold. Throws Error where that is damaged or not of
    /// `identity`.
    ExplanationIndex(std::filesystem::path folder, std::string identity);

    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    /// The entry of a sample and a method; null: there is none.
    [[nodiscard]] const nlohmann::json* find(const std::string& sample, const std::string& method) const;
    [[nodiscard]] nlohmann::json* find(const std::string& sample, const std::string& method);
    /// Entries of a method.
    [[nodiscard]] int64_t count(const std::string& method) const;
    /// In the place of that of its `name` and `method`, or a new one: whether it is that.
    bool put(nlohmann::json entry);
    /// Whether there was one.
    bool remove(const std::string& sample, const std::string& method);
    /// What an entry's array holds. Throws Error where somebody damaged it.
    [[nodiscard]] Tensor map_of(const nlohmann::json& entry) const;

    /// `failed`: what has no map, and why.
    void write(const nlohmann::json& failed);
    /// Every few seconds: a call that is killed loses no more.
    void write_at_times(const std::function<nlohmann::json()>& failed);

private:
    void read(const nlohmann::json& before);

    std::filesystem::path folder_;
    std::string identity_;
    std::vector<nlohmann::json> maps_;     // null: taken out
    std::map<std::string, size_t> known_;  // where in maps_
    std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

}  // namespace backlight
