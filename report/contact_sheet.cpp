// Layout of contact sheets: all cells have one size, a picture stands in the middle of its cell.
#include "report/contact_sheet.h"

#include <algorithm>

#include "core/error.h"
#include "report/font.h"
#include "report/heatmap.h"

namespace backlight::report {
namespace {

constexpr Color kInk{31, 41, 55};

/// White pixels that pictures and text are put on.
class Canvas {
public:
    Canvas(int64_t height, int64_t width)
        : height_(height), width_(width), pixels_(static_cast<size_t>(height * width * 3), 255) {}

    void paste(const Tensor& picture, int64_t left, int64_t top) {
        const std::vector<uint8_t> source = picture.to_vector<uint8_t>();
        const int64_t row = picture.dim(1) * 3;
        for (int64_t y = 0; y < picture.dim(0); ++y) {
            std::copy_n(source.begin() + y * row, row, pixels_.begin() + ((top + y) * width_ + left) * 3);
        }
    }
    void write(std::string_view text, int64_t left, int64_t top, int64_t scale) {
        draw_text(pixels_, height_, width_, left, top, text, scale, kInk);
    }
    [[nodiscard]] Tensor tensor() const { return Tensor::from(pixels_, {height_, width_, 3}); }

private:
    int64_t height_, width_;
    std::vector<uint8_t> pixels_;
};

}  // namespace

Tensor enlarge(const Tensor& picture, int64_t factor) {
    BACKLIGHT_CHECK(picture.defined() && picture.dtype() == DType::u8, "enlarge: expected a u8 picture");
    BACKLIGHT_CHECK(factor >= 1, "enlarge: expected a factor >= 1, got ", factor);
    const Tensor rgb = report::picture(picture);
    if (factor == 1) {
        return rgb;
    }
    const std::vector<uint8_t> source = rgb.to_vector<uint8_t>();
    const int64_t height = rgb.dim(0) * factor, width = rgb.dim(1) * factor;
    std::vector<uint8_t> pixels;
    pixels.reserve(static_cast<size_t>(height * width * 3));
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const auto pixel = source.begin() + (y / factor * rgb.dim(1) + x / factor) * 3;
            pixels.insert(pixels.end(), pixel, pixel + 3);
        }
    }
    return Tensor::from(pixels, {height, width, 3});
}

Tensor side_by_side(const std::vector<Tensor>& pictures, int64_t gap) {
    BACKLIGHT_CHECK(!pictures.empty() && gap >= 0, "side_by_side: expected pictures and a gap >= 0");
    int64_t height = 0, width = -gap;
    for (const Tensor& one : pictures) {
        BACKLIGHT_CHECK(one.defined() && one.rank() == 3 && one.dtype() == DType::u8,
                        "side_by_side: expected u8 pictures (H,W,C)");
        height = std::max(height, one.dim(0));
        width += one.dim(1) + gap;
    }
    Canvas canvas(height, width);
    int64_t left = 0;
    for (const Tensor& one : pictures) {
        canvas.paste(report::picture(one), left, (height - one.dim(0)) / 2);
        left += one.dim(1) + gap;
    }
    return canvas.tensor();
}

Tensor stacked(const std::vector<Tensor>& pictures, int64_t gap) {
    BACKLIGHT_CHECK(!pictures.empty() && gap >= 0, "stacked: expected pictures and a gap >= 0");
    int64_t height = -gap, width = 0;
    for (const Tensor& one : pictures) {
        BACKLIGHT_CHECK(one.defined() && one.rank() == 3 && one.dtype() == DType::u8,
                        "stacked: expected u8 pictures (H,W,C)");
        height += one.dim(0) + gap;
        width = std::max(width, one.dim(1));
    }
    Canvas canvas(height, width);
    int64_t top = 0;
    for (const Tensor& one : pictures) {
        canvas.paste(report::picture(one), 0, top);
        top += one.dim(0) + gap;
    }
    return canvas.tensor();
}

Tensor grid(const std::vector<std::vector<Tensor>>& pictures, const GridOptions& options) {
    size_t columns = 0;
    int64_t edge = options.cell;
    for (const auto& row : pictures) {
        columns = std::max(columns, row.size());
        for (const Tensor& one : row) {
            if (one.defined()) {
                BACKLIGHT_CHECK(one.rank() == 3 && one.dtype() == DType::u8,
                                "grid: expected u8 pictures (H,W,C), got ", one.dtype(), " ", one.shape());
                BACKLIGHT_CHECK(one.numel() > 0, "grid: an empty picture ", one.shape());
                edge = std::max({edge, one.dim(0), one.dim(1)});
            }
        }
    }
    BACKLIGHT_CHECK(columns > 0 && edge > 0, "grid: there are no pictures");
    BACKLIGHT_CHECK(options.columns.empty() || options.columns.size() == columns,
                    "grid: ", options.columns.size(), " column captions for ", columns, " columns");
    BACKLIGHT_CHECK(options.rows.empty() || options.rows.size() == pictures.size(),
                    "grid: ", options.rows.size(), " row captions for ", pictures.size(), " rows");
    BACKLIGHT_CHECK(options.gap >= 0 && options.text_scale >= 0,
                    "grid: gap and text_scale must not be negative");

    // Small pictures grow to the cell; then the cell shrinks to the largest of them.
    std::vector<std::vector<Tensor>> cells(pictures.size());
    int64_t cell_height = 1, cell_width = 1;
    for (size_t r = 0; r < pictures.size(); ++r) {
        for (const Tensor& one : pictures[r]) {
            cells[r].push_back(one.defined() ? enlarge(one, edge / std::max(one.dim(0), one.dim(1)))
                                             : Tensor());
            if (one.defined()) {
                cell_height = std::max(cell_height, cells[r].back().dim(0));
                cell_width = std::max(cell_width, cells[r].back().dim(1));
            }
        }
    }

    const int64_t scale =
        options.text_scale > 0 ? options.text_scale : std::max<int64_t>(1, (edge + 64) / 128);
    const int64_t line = (kGlyphHeight + 4) * scale;
    const int64_t gap = options.gap;
    int64_t caption_width = 0;
    for (const std::string& caption : options.rows) {
        caption_width = std::max(caption_width, text_width(caption) * scale);
    }
    caption_width = std::min(caption_width, std::max(2 * cell_width, 16 * scale));
    const int64_t left = gap + (caption_width > 0 ? caption_width + std::max(gap, 4 * scale) : 0);
    const int64_t title_height = options.title.empty() ? 0 : line + 2 * scale;
    const int64_t top = gap + title_height + (options.columns.empty() ? 0 : line);
    const auto count_x = static_cast<int64_t>(columns), count_y = static_cast<int64_t>(pictures.size());
    const int64_t width = left + count_x * (cell_width + gap);
    Canvas canvas(top + count_y * (cell_height + gap), width);

    if (!options.title.empty()) {
        canvas.write(fit_text(options.title, (width - 2 * gap) / scale), gap, gap, scale);
    }
    for (size_t c = 0; c < options.columns.size(); ++c) {
        const std::string text = fit_text(options.columns[c], cell_width / scale);
        const int64_t centre = left + static_cast<int64_t>(c) * (cell_width + gap) + cell_width / 2;
        canvas.write(text, centre - text_width(text) * scale / 2, gap + title_height, scale);
    }
    for (size_t r = 0; r < cells.size(); ++r) {
        const int64_t cell_top = top + static_cast<int64_t>(r) * (cell_height + gap);
        if (!options.rows.empty()) {
            canvas.write(fit_text(options.rows[r], caption_width / scale), gap,
                         cell_top + (cell_height - kGlyphHeight * scale) / 2, scale);
        }
        for (size_t c = 0; c < cells[r].size(); ++c) {
            const Tensor& one = cells[r][c];
            if (one.defined()) {
                const int64_t cell_left = left + static_cast<int64_t>(c) * (cell_width + gap);
                canvas.paste(one, cell_left + (cell_width - one.dim(1)) / 2,
                             cell_top + (cell_height - one.dim(0)) / 2);
            }
        }
    }
    return canvas.tensor();
}

}  // namespace backlight::report
