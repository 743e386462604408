#include "experiments/explanation_index.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/npy.h"

namespace backlight {
namespace {

using nlohmann::json;

/// Names are those of files: none holds a zero.
std::string key_of(const std::string& sample, const std::string& method) { return sample + '\0' + method; }

}  // namespace

ExplanationIndex::ExplanationIndex(std::filesystem::path folder, std::string identity)
    : folder_(std::move(folder)), identity_(std::move(identity)) {
    std::filesystem::create_directories(folder_);
    const std::filesystem::path file = folder_ / "index.json";
    if (!std::filesystem::exists(file)) {
        return;
    }
    try {
        const std::vector<uint8_t> bytes = read_file_bytes(file);
        read(json::parse(bytes.begin(), bytes.end()));
    } catch (const json::exception&) {
        throw_error(concat_text(file.string(), ": is damaged; remove it, or take another folder"));
    }
}

void ExplanationIndex::read(const json& before) {
    BACKLIGHT_CHECK(before.value("explained", "") == identity_, folder_.string(),
                    " holds explanations of something else: ", before.value("explained", "?"),
                    "; now: ", identity_);
    for (const json& entry : before.at("maps")) {
        // What is read of it later, so that damage shows here.
        (void)entry.at("shape").size();
        (void)(entry.at("sum").get<double>() + entry.at("seconds").get<double>());
        (void)(entry.value("expected_sum", 0.0) + entry.value("coarse", false));
        (void)(entry.value("input", "") + entry.value("picture", ""));
        (void)entry.at("target").get<int64_t>();
        if (std::filesystem::exists(folder_ / entry.at("array").get<std::string>())) {
            (void)put(entry);
        }
    }
}

const json* ExplanationIndex::find(const std::string& sample, const std::string& method) const {
    const auto at = known_.find(key_of(sample, method));
    return at == known_.end() ? nullptr : &maps_[at->second];
}

json* ExplanationIndex::find(const std::string& sample, const std::string& method) {
    const auto at = known_.find(key_of(sample, method));
    return at == known_.end() ? nullptr : &maps_[at->second];
}

int64_t ExplanationIndex::count(const std::string& method) const {
    return std::count_if(maps_.begin(), maps_.end(), [&](const json& entry) {
        return !entry.is_null() && entry.at("method") == method;
    });
}

bool ExplanationIndex::put(json entry) {
    const auto [at, is_new] = known_.emplace(key_of(entry.at("name"), entry.at("method")), maps_.size());
    if (is_new) {
        maps_.emplace_back();
    }
    maps_[at->second] = std::move(entry);
    return is_new;
}

bool ExplanationIndex::remove(const std::string& sample, const std::string& method) {
    const auto at = known_.find(key_of(sample, method));
    if (at == known_.end()) {
        return false;
    }
    maps_[at->second] = nullptr;
    known_.erase(at);
    return true;
}

Tensor ExplanationIndex::map_of(const json& entry) const {
    try {
        return read_npy(folder_ / entry.at("array").get<std::string>());
    } catch (const Error& error) {
        throw Error(std::string(error.what()) + "; remove it, and the same call makes it again");
    }
}

void ExplanationIndex::write(const json& failed) {
    json index = {{"explained", identity_}, {"maps", json::array()}, {"failed", failed}};
    std::copy_if(maps_.begin(), maps_.end(), std::back_inserter(index["maps"]),
                 [](const json& entry) { return !entry.is_null(); });
    write_file_atomically(folder_ / "index.json", index.dump(1) + "\n");
    written_ = std::chrono::steady_clock::now();
}

void ExplanationIndex::write_at_times(const std::function<json()>& failed) {
    if (std::chrono::steady_clock::now() - written_ > std::chrono::seconds(2)) {
        write(failed());
    }
}

}  // namespace backlight
