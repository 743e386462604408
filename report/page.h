// One HTML page that carries all it shows: style and pictures are inside, nothing is loaded, so it works
// offline, in an e-mail, and in print. Every text given to it is escaped. The result is well-formed XML too.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace backlight::report {

struct Table {
    std::vector<std::string> columns{};
    std::vector<std::vector<std::string>> rows{};  // each as long as `columns`
    std::string caption{};
    int highlight = -1;  // this row stands out; -1: none
};

/// One figure of a row of figures: a picture (u8 (H,W,1|3|4)) or an SVG text from report/plot.h.
struct Figure {
    Tensor image{};
    std::string svg{};
    std::string caption{};
};

struct FigureGrid {
    std::vector<std::string> columns{};           // headings
    std::vector<std::string> rows{};              // captions on the left; empty or one a row
    std::vector<std::vector<Tensor>> pictures{};  // [row][column]; undefined leaves the cell empty
    std::string caption{};
    std::string legend{};  // SVG text, e.g. color_bar(), below the grid
    int64_t cell = 0;      // width of a picture in CSS pixels; 0: chosen from the pictures
};

class Page {
public:
    explicit Page(std::string title, std::string subtitle = "");

    /// A small line above the title ("Backlight report").
    Page& kicker(std::string text);
    /// Facts below the subtitle, shown in one line: {"Data", "MNIST"}, {"Command", "..."}, {"Date", ...}.
    Page& fact(std::string name, std::string value);
    /// A key number in the header: "97.8 %", "test accuracy", "10 000 images".
    Page& tile(std::string value, std::string label, std::string note = "");

    /// Starts a section; sections and subsections make the table of contents.
    Page& section(std::string title);
    Page& subsection(std::string title);
    /// Paragraphs, separated by an empty line; `code` between backquotes is set as code.
    Page& text(std::string_view text);
    Page& list(const std::vector<std::string>& items);
    /// A remark in a box.
    Page& note(std::string_view text);
    Page& code(std::string_view text);
    /// A column whose cells are all numbers is set right-aligned.
    Page& table(const Table& table);
    /// One numbered figure. Pictures below 128 pixels are enlarged without smoothing.
    Page& figure(const Figure& figure);
    /// Figures side by side, below each other on a narrow screen.
    Page& figures(const std::vector<Figure>& figures);
    /// Pictures in a table with headings and row captions: "input | gradient | Grad-CAM | LRP".
    Page& grid(const FigureGrid& grid);
    /// The last line of the page.
    Page& footer(std::string text);

    [[nodiscard]] std::string html() const;
    /// Writes html() to a temporary name and renames it.
    void write(const std::filesystem::path& path) const;

private:
    struct Tile {
        std::string value, label, note;
    };
    struct Heading {
        int level;
        std::string title, id;
    };
    void heading(int level, std::string title);
    void add_figure(const Figure& figure, int64_t room);
    std::string numbered_caption(std::string_view text);

    std::string title_, subtitle_, kicker_, footer_;
    std::vector<std::pair<std::string, std::string>> facts_;
    std::vector<Tile> tiles_;
    std::vector<Heading> headings_;
    std::string body_;
    int figures_ = 0;
    bool section_open_ = false;
};

}  // namespace backlight::report
