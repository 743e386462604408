// Data sets by name: load_data("shapes16(n=2000, decoy=class)"), load_data("cifar10:/data/cifar").
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/dataset.h"

namespace backlight {

/// What a spec names: a training set, a test set, and whatever else belongs to them.
struct DataSource {
    std::string spec;
    std::shared_ptr<Dataset> train;
    std::shared_ptr<Dataset> test;
    std::map<std::string, std::shared_ptr<Dataset>> extra;  // "fresh", "unmarked", "shifted", ...
    std::vector<std::string> notes;                         // what was left out, one line each
    int64_t shorter_side = 0;  // of test pictures before their middle is cut out; 0: they are not cut so

    /// "train", "test" or the name of an extra split. Throws Error that lists the names.
    [[nodiscard]] const std::shared_ptr<Dataset>& split(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> split_names() const;
};

struct DataEntry {
    std::string name;
    bool needs_place = false;  // written name:DIR
    std::string description;   // one line
    std::string options;       // what its parentheses may hold, with defaults
};

/// Throws Error on an unknown name or option, a missing place, or data that cannot be read.
[[nodiscard]] std::unique_ptr<DataSource> load_data(std::string_view spec);
[[nodiscard]] const std::vector<DataEntry>& list_data();

}  // namespace backlight
