// HTML by concatenation: the elements are few, every text passes escape_html, every element is closed. A
// content security policy in the page forbids the browser to load anything.
#include "report/page.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "report/page_style.h"
#include "report/text.h"

namespace backlight::report {
namespace {

constexpr int64_t kContentWidth = 850;  // CSS pixels inside a figure
constexpr int64_t kSmallPicture = 128;  // below, single pixels are meant to be seen

std::string element(std::string_view tag, std::string_view content) {
    return concat_text("<", tag, ">", content, "</", tag, ">");
}

/// Escaped text in which `...` is set as code. A backquote without a partner stays as it is.
std::string inline_markup(std::string_view text) {
    std::string html;
    while (!text.empty()) {
        const size_t open = text.find('`');
        const size_t close = open == std::string_view::npos ? open : text.find('`', open + 1);
        if (close == std::string_view::npos) {
            return html + escape_html(text);
        }
        html += escape_html(text.substr(0, open)) +
                element("code", escape_html(text.substr(open + 1, close - open - 1)));
        text.remove_prefix(close + 1);
    }
    return html;
}

std::string paragraphs(std::string_view text) {
    std::string html;
    while (!text.empty()) {
        const size_t end = std::min(text.find("\n\n"), text.size());
        const std::string_view one = text.substr(0, end);
        if (one.find_first_not_of(" \n\t") != std::string_view::npos) {
            html += element("p", inline_markup(one)) + "\n";
        }
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return html;
}

/// A name for links: letters and digits of the title, the rest hyphens.
std::string slug(std::string_view title) {
    std::string id;
    for (const char character : title) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte < 128 && std::isalnum(byte) != 0) {
            id += static_cast<char>(std::tolower(byte));
        } else if (!id.empty() && id.back() != '-') {
            id += '-';
        }
    }
    while (!id.empty() && id.back() == '-') {
        id.pop_back();
    }
    return id.empty() ? "section" : id;
}

/// "97.8 %", "-3", "0.91 ± 0.02", and what stands for no number; a sentence that begins with one is none.
bool looks_numeric(std::string_view cell) {
    constexpr size_t kLongest = 32;
    if (cell.size() > kLongest) {
        return false;
    }
    for (const std::string_view sign : {"\u2212", "\u00b1", "-", "+", "<"}) {
        if (cell.starts_with(sign)) {
            cell.remove_prefix(sign.size());
        }
    }
    return cell.empty() || cell == "\u2013" || cell == "\u2014" || cell == "nan" || cell == "inf" ||
           std::isdigit(static_cast<unsigned char>(cell[0])) != 0;
}

/// The width at which a picture is shown in room for `room` CSS pixels: small ones by a whole factor.
int64_t shown_width(int64_t width, int64_t room) { return width < room ? width * (room / width) : room; }

std::string image_tag(const Tensor& image, std::string_view alt, int64_t room) {
    BACKLIGHT_CHECK(image.dtype() == DType::u8 && image.rank() == 3 && image.numel() > 0,
                    "page: expected a u8 picture (H,W,1|3|4), got ", image.dtype(), " ", image.shape());
    const bool small = std::max(image.dim(0), image.dim(1)) < kSmallPicture;
    const int64_t width = small ? shown_width(image.dim(1), room) : std::min(image.dim(1), room);
    const auto height = static_cast<int64_t>(static_cast<double>(width) * static_cast<double>(image.dim(0)) /
                                                 static_cast<double>(image.dim(1)) +
                                             0.5);
    const auto png = encode_png(image);
    return concat_text("<img", small ? " class=\"px\"" : "", " width=\"", width, "\" height=\"", height,
                       "\" alt=\"", escape_html(alt), "\" src=\"data:image/png;base64,", base64_encode(png),
                       "\"/>");
}

/// SVG inside HTML needs no namespace; without it the page names no address at all.
std::string embedded_svg(std::string svg) {
    constexpr std::string_view name = " xmlns=\"http://www.w3.org/2000/svg\"";
    const size_t at = svg.find(name);
    if (at != std::string::npos) {
        svg.erase(at, name.size());
    }
    return svg;
}

std::string figure_content(const Figure& figure, int64_t room) {
    BACKLIGHT_CHECK(figure.image.defined() != !figure.svg.empty(),
                    "page: a figure is a picture or an SVG text");
    return figure.image.defined() ? image_tag(figure.image, figure.caption, room) : embedded_svg(figure.svg);
}

}  // namespace

Page::Page(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

Page& Page::kicker(std::string text) {
    kicker_ = std::move(text);
    return *this;
}

Page& Page::fact(std::string name, std::string value) {
    facts_.emplace_back(std::move(name), std::move(value));
    return *this;
}

Page& Page::tile(std::string value, std::string label, std::string note) {
    tiles_.push_back({std::move(value), std::move(label), std::move(note)});
    return *this;
}

void Page::heading(int level, std::string title) {
    const std::string base = slug(title);
    std::string id = base;
    for (int copy = 2;
         std::any_of(headings_.begin(), headings_.end(), [&](const Heading& h) { return h.id == id; });
         ++copy) {
        id = base + "-" + std::to_string(copy);
    }
    body_ += concat_text("<h", level, " id=\"", id, "\">", escape_html(title), "</h", level, ">\n");
    headings_.push_back({level, std::move(title), std::move(id)});
}

Page& Page::section(std::string title) {
    body_ += section_open_ ? "</section>\n<section>\n" : "<section>\n";
    section_open_ = true;
    heading(2, std::move(title));
    return *this;
}

Page& Page::subsection(std::string title) {
    heading(3, std::move(title));
    return *this;
}

Page& Page::text(std::string_view text) {
    body_ += paragraphs(text);
    return *this;
}

Page& Page::list(const std::vector<std::string>& items) {
    body_ += "<ul class=\"list\">\n";
    for (const std::string& item : items) {
        body_ += element("li", inline_markup(item)) + "\n";
    }
    body_ += "</ul>\n";
    return *this;
}

Page& Page::note(std::string_view text) {
    body_ += "<div class=\"note\">" + paragraphs(text) + "</div>\n";
    return *this;
}

Page& Page::code(std::string_view text) {
    body_ += element("pre", escape_html(text)) + "\n";
    return *this;
}

Page& Page::table(const Table& table) {
    const size_t columns = table.columns.size();
    std::vector<bool> numeric(columns, !table.rows.empty());
    for (const auto& row : table.rows) {
        BACKLIGHT_CHECK(row.size() == columns, "page: a table row has ", row.size(), " cells for ", columns,
                        " columns");
        for (size_t c = 0; c < columns; ++c) {
            numeric[c] = numeric[c] && looks_numeric(row[c]);
        }
    }
    const auto align = [&](size_t c) { return numeric[c] ? " class=\"n\"" : ""; };
    body_ += "<div class=\"scroll\"><table class=\"data\">\n";
    body_ += "<thead><tr>";
    for (size_t c = 0; c < columns; ++c) {
        body_ += concat_text("<th", align(c), ">", inline_markup(table.columns[c]), "</th>");
    }
    body_ += "</tr></thead>\n<tbody>\n";
    for (size_t r = 0; r < table.rows.size(); ++r) {
        body_ += static_cast<int64_t>(r) == table.highlight ? "<tr class=\"hi\">" : "<tr>";
        for (size_t c = 0; c < columns; ++c) {
            body_ += concat_text("<td", align(c), ">", inline_markup(table.rows[r][c]), "</td>");
        }
        body_ += "</tr>\n";
    }
    body_ += "</tbody></table></div>\n";
    if (!table.caption.empty()) {
        body_ += "<p class=\"under\">" + inline_markup(table.caption) + "</p>\n";
    }
    return *this;
}

std::string Page::numbered_caption(std::string_view text) {
    ++figures_;
    return concat_text("<figcaption><b>Figure ", figures_, "</b>", inline_markup(text), "</figcaption>");
}

void Page::add_figure(const Figure& figure, int64_t room) {
    body_ += concat_text("<figure><div class=\"body\">", figure_content(figure, room), "</div>",
                         numbered_caption(figure.caption), "</figure>\n");
}

Page& Page::figure(const Figure& figure) {
    add_figure(figure, kContentWidth);
    return *this;
}

Page& Page::figures(const std::vector<Figure>& figures) {
    body_ += "<div class=\"row\">\n";
    for (const Figure& one : figures) {
        add_figure(one, figures.size() == 1 ? kContentWidth : kContentWidth / 2 - 40);
    }
    body_ += "</div>\n";
    return *this;
}

Page& Page::grid(const FigureGrid& grid) {
    size_t columns = grid.columns.size();
    for (const auto& row : grid.pictures) {
        columns = std::max(columns, row.size());
    }
    BACKLIGHT_CHECK(columns > 0 && !grid.pictures.empty(), "page: a grid without pictures");
    BACKLIGHT_CHECK(grid.columns.empty() || grid.columns.size() == columns, "page: ", grid.columns.size(),
                    " headings for ", columns, " columns");
    BACKLIGHT_CHECK(grid.rows.empty() || grid.rows.size() == grid.pictures.size(), "page: ", grid.rows.size(),
                    " row captions for ", grid.pictures.size(), " rows");
    const int64_t captions = grid.rows.empty() ? 0 : 160;  // .grid tbody th, with its spacing
    const int64_t room =
        grid.cell > 0
            ? grid.cell
            : std::clamp<int64_t>((kContentWidth - captions) / static_cast<int64_t>(columns) - 12, 48, 200);
    std::string html = "<figure><div class=\"body\"><table class=\"grid\">\n";
    if (!grid.columns.empty()) {
        html += "<thead><tr>";
        html += grid.rows.empty() ? "" : "<td></td>";
        for (const std::string& column : grid.columns) {
            html += "<th scope=\"col\">" + inline_markup(column) + "</th>";
        }
        html += "</tr></thead>\n";
    }
    html += "<tbody>\n";
    for (size_t r = 0; r < grid.pictures.size(); ++r) {
        html += "<tr>";
        if (!grid.rows.empty()) {
            html += "<th scope=\"row\">" + inline_markup(grid.rows[r]) + "</th>";
        }
        for (size_t c = 0; c < columns; ++c) {
            html += "<td>";
            if (c < grid.pictures[r].size() && grid.pictures[r][c].defined()) {
                const std::string row = grid.rows.empty() ? std::to_string(r + 1) : grid.rows[r];
                const std::string column = grid.columns.empty() ? std::to_string(c + 1) : grid.columns[c];
                html += image_tag(grid.pictures[r][c], row + ", " + column, room);
            }
            html += "</td>";
        }
        html += "</tr>\n";
    }
    html += "</tbody></table>";
    if (!grid.legend.empty()) {
        html += "<div class=\"legend\">" + embedded_svg(grid.legend) + "</div>";
    }
    body_ += html + "</div>" + numbered_caption(grid.caption) + "</figure>\n";
    return *this;
}

Page& Page::footer(std::string text) {
    footer_ = std::move(text);
    return *this;
}

std::string Page::html() const {
    std::string html =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\"/>\n<link rel=\"icon\" href=\"data:,\"/>\n";
    html += element("title", escape_html(title_)) + "\n<style>" + std::string(kPageStyle) +
            "</style>\n</head>\n<body>\n";
    html += "<div class=\"page\">\n<header>\n";
    if (!kicker_.empty()) {
        html += "<p class=\"kicker\">" + escape_html(kicker_) + "</p>\n";
    }
    html += element("h1", escape_html(title_)) + "\n";
    if (!subtitle_.empty()) {
        html += "<p class=\"subtitle\">" + inline_markup(subtitle_) + "</p>\n";
    }
    if (!facts_.empty()) {
        html += "<dl class=\"facts\">\n";
        for (const auto& [name, value] : facts_) {
            html +=
                element("div", element("dt", escape_html(name)) + element("dd", inline_markup(value))) + "\n";
        }
        html += "</dl>\n";
    }
    if (!tiles_.empty()) {
        html += "<div class=\"tiles\">\n";
        for (const Tile& tile : tiles_) {
            html += "<div class=\"tile\">" + element("b", escape_html(tile.value)) +
                    element("span", escape_html(tile.label)) +
                    (tile.note.empty() ? "" : element("small", escape_html(tile.note))) + "</div>\n";
        }
        html += "</div>\n";
    }
    html += "</header>\n";
    if (headings_.size() > 1) {
        html += "<nav><div><p>Contents</p>\n<ol>\n";
        for (const Heading& heading : headings_) {
            html += concat_text("<li", heading.level > 2 ? " class=\"sub\"" : "", "><a href=\"#", heading.id,
                                "\">", escape_html(heading.title), "</a></li>\n");
        }
        html += "</ol></div></nav>\n";
    }
    html += "<main>\n" + body_ + (section_open_ ? "</section>\n" : "") + "</main>\n";
    if (!footer_.empty()) {
        html += "<footer>" + inline_markup(footer_) + "</footer>\n";
    }
    return html + "</div>\n</body>\n</html>\n";
}

void Page::write(const std::filesystem::path& path) const { write_file_atomically(path, html()); }

}  // namespace backlight::report
