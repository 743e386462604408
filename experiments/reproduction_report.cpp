// How a reproduction is told: in the terminal, as JSON, as a page.
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image.h"
#include "experiments/reproduction.h"

namespace backlight {
namespace {

std::string with_deviation(const std::vector<double>& values) {
    const Statistics s = statistics_of(values);
    return s.count > 1 ? number_text(s.mean) + " ± " + number_text(s.deviation) : number_text(s.mean);
}

/// An arm a row; where that would be wider than a page, a metric a row.
report::Table table_of(const Measurements& measured) {
    constexpr size_t kWidest = 6;
    const auto &arms = measured.arms(), &metrics = measured.metrics();
    const bool arms_down = metrics.size() <= kWidest || metrics.size() <= arms.size();
    const auto &down = arms_down ? arms : metrics, &across = arms_down ? metrics : arms;
    report::Table table{.columns = {arms_down ? "arm" : ""}};
    table.columns.insert(table.columns.end(), across.begin(), across.end());
    int64_t seeds = 0;
    for (const std::string& name : down) {
        std::vector<std::string> row{name};
        for (const std::string& other : across) {
            const std::string &arm = arms_down ? name : other, &metric = arms_down ? other : name;
            const bool known = measured.has(arm, metric);
            row.push_back(known ? with_deviation(measured.values(arm, metric)) : "");
            seeds = known ? std::max(seeds, statistics_of(measured.values(arm, metric)).count) : seeds;
        }
        table.rows.push_back(std::move(row));
    }
    table.caption = concat_text("Mean over ", seeds, " seeds ± standard deviation");
    return table;
}

/// Characters, not bytes: ± is two of those.
size_t width_of(const std::string& text) {
    size_t width = 0;
    for (const char c : text) {
        width += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
    }
    return width;
}

void print_table(std::ostream& out, const report::Table& table) {
    std::vector<size_t> widths;
    for (size_t c = 0; c < table.columns.size(); ++c) {
        widths.push_back(width_of(table.columns[c]));
        for (const auto& row : table.rows) {
            widths[c] = std::max(widths[c], width_of(row[c]));
        }
    }
    const auto print_row = [&](const std::vector<std::string>& row) {
        std::string line = " ";
        for (size_t c = 0; c < row.size(); ++c) {
            line += " " + row[c] + std::string(widths[c] - width_of(row[c]) + 1, ' ');
        }
        out << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
    };
    print_row(table.columns);
    for (const auto& row : table.rows) {
        print_row(row);
    }
    if (!table.caption.empty()) {
        out << "  (" << table.caption << ")\n";
    }
}

}  // namespace

void print_reproduction(std::ostream& out, const ReproductionEntry& entry, const Reproduction& result) {
    out << entry.title << "\n  claim:   " << entry.claim << "\n  control: " << entry.control
        << "\n  source:  " << entry.source << "\n\n";
    print_table(out, table_of(result.measured));
    for (const report::Table& table : result.tables) {
        out << "\n";
        print_table(out, table);
    }
    out << "\n";
    for (const Finding& finding : result.findings) {
        out << (finding.held ? "  held      " : "  NOT SHOWN ") << finding.claim << "\n            "
            << finding.numbers << "\n";
    }
    for (const std::string& remark : result.remarks) {
        out << "  note      " << remark << "\n";
    }
    out << (result.held() ? "The claim held.\n" : "The claim did not hold in full.\n");
}

void write_reproduction(const std::filesystem::path& folder, const ReproductionEntry& entry,
                        const Reproduction& result, const std::string& command) {
    nlohmann::ordered_json json = {{"name", entry.name},     {"title", entry.title},
                                   {"claim", entry.claim},   {"control", entry.control},
                                   {"source", entry.source}, {"command", command},
                                   {"held", result.held()},  {"remarks", result.remarks}};
    for (const std::string& arm : result.measured.arms()) {
        for (const std::string& metric : result.measured.metrics()) {
            if (result.measured.has(arm, metric)) {
                json["measured"][arm][metric] = result.measured.values(arm, metric);
            }
        }
    }
    for (const Finding& finding : result.findings) {
        json["findings"].push_back(
            {{"claim", finding.claim}, {"held", finding.held}, {"numbers", finding.numbers}});
    }
    write_file_atomically(folder / "results.json", json.dump(2) + "\n");

    report::Page page(entry.title, entry.claim);
    page.kicker("Backlight reproduction").fact("Control", entry.control).fact("Source", entry.source);
    page.fact("Command", command);
    int64_t held = 0;
    for (const Finding& finding : result.findings) {
        held += finding.held ? 1 : 0;
    }
    page.tile(concat_text(held, " of ", result.findings.size()), "findings held");
    page.section("Findings");
    report::Table verdicts{.columns = {"", "claim", "numbers"}};
    for (const Finding& finding : result.findings) {
        verdicts.rows.push_back({finding.held ? "held" : "not shown", finding.claim, finding.numbers});
    }
    page.table(verdicts);
    if (!result.remarks.empty()) {
        page.list(result.remarks);
    }
    page.section("Measured").table(table_of(result.measured));
    for (const report::Table& table : result.tables) {
        page.table(table);
    }
    if (!result.figures.empty()) {
        page.section("Figures");
    }
    for (size_t i = 0; i < result.figures.size(); ++i) {
        const report::Figure& figure = result.figures[i];
        page.figure(figure);
        const std::string stem = concat_text("figure_", i + 1);
        if (!figure.svg.empty()) {
            write_file_atomically(folder / (stem + ".svg"), figure.svg);
        } else {
            write_png(folder / (stem + ".png"), figure.image);
        }
    }
    page.write(folder / "report.html");
}

}  // namespace backlight
