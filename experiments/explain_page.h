// The page and the sheet of pictures of a folder of explanations.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "experiments/explain_run.h"
#include "experiments/explanation_index.h"
#include "experiments/map_pictures.h"

namespace backlight {

struct ExplainPage {
    const ExplainRunConfig& config;
    const MapPictures& pictures;
    const ExplanationIndex& index;
    const std::vector<std::string>& names;                       // of samples; empty: it cannot be read
    const std::vector<std::string>& left_out;                    // lines
    std::vector<std::pair<std::string, std::string>> methods{};  // text, start
};

/// grid.png and report.html in the folder of the index; without a map that is a picture no grid.png stays.
void write_explain_page(const ExplainPage& page);

}  // namespace backlight
