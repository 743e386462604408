// Several pictures in one: enlarged, side by side, or as a contact sheet with captions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace backlight::report {

/// Each pixel of a u8 picture (H,W,1|3|4) becomes factor x factor pixels: u8 (H*factor, W*factor, 3).
[[nodiscard]] Tensor enlarge(const Tensor& picture, int64_t factor);

/// Pictures in one row, `gap` white pixels between, centred vertically. u8 (H,W,3).
[[nodiscard]] Tensor side_by_side(const std::vector<Tensor>& pictures, int64_t gap = 4);

/// Pictures in one column, `gap` white pixels between, at the left edge. u8 (H,W,3).
[[nodiscard]] Tensor stacked(const std::vector<Tensor>& pictures, int64_t gap = 4);

struct GridOptions {
    std::vector<std::string> columns{};  // captions above, empty or one a column
    std::vector<std::string> rows{};     // captions on the left, empty or one a row
    std::string title{};
    int64_t cell = 0;  // edge to which small pictures grow by a whole factor; 0: the largest picture's edge
    int64_t gap = 6;   // white pixels between cells
    int64_t text_scale = 0;  // size of a dot of the 5x8 letters; 0: from the cell
};

/// A contact sheet: pictures[row][column], rows may differ in length, an undefined tensor leaves its cell
/// empty. Captions that do not fit are cut. u8 (H,W,3).
[[nodiscard]] Tensor grid(const std::vector<std::vector<Tensor>>& pictures, const GridOptions& options = {});

}  // namespace backlight::report
