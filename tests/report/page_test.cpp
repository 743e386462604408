#include "report/page.h"

#include <doctest/doctest.h>

#include <pugixml.hpp>

#include "core/error.h"
#include "report/plot.h"
#include "report/text.h"

using namespace backlight;
using namespace backlight::report;

namespace {

constexpr const char* kNasty = "<script>alert(\"1\")</script> & 'x'";

Tensor dot(uint8_t value) { return Tensor::from<uint8_t>({value, value, value}, {1, 1, 3}); }

/// A page that uses every part, with texts that would break it unescaped.
Page everything() {
    Page page(kNasty, kNasty);
    page.kicker(kNasty).fact(kNasty, kNasty).tile(kNasty, kNasty, kNasty);
    page.section(kNasty).subsection(kNasty).text(kNasty).list({kNasty}).note(kNasty).code(kNasty);
    page.table({.columns = {kNasty}, .rows = {{kNasty}}, .caption = kNasty, .highlight = 0});
    page.figure({.image = dot(1), .caption = kNasty});
    page.figures(
        {{.svg = line_chart({.title = kNasty, .series = {{.name = kNasty, .x = {0, 1}, .y = {0, 1}}}})},
         {.svg = confusion_matrix({.classes = {kNasty}, .counts = {1}})}});
    page.grid({.columns = {kNasty, "b"},
               .rows = {kNasty},
               .pictures = {{dot(2), Tensor()}},
               .caption = kNasty,
               .legend = color_bar({.low = kNasty})});
    page.footer(kNasty);
    return page;
}

}  // namespace

TEST_CASE("page: every text is escaped and the whole is well-formed XML") {
    const std::string html = everything().html();
    CHECK(html.find("<script") == std::string::npos);
    CHECK(html.find("alert(&quot;1&quot;)") != std::string::npos);
    pugi::xml_document document;
    const auto result = document.load_string(html.c_str(), pugi::parse_default | pugi::parse_doctype);
    CHECK_MESSAGE(static_cast<bool>(result), result.description());
    CHECK(std::string(document.child("html").child("head").child("title").text().get()) == kNasty);
}

TEST_CASE("page: nothing outside the page is named") {
    const std::string html = everything().html();
    for (const char* forbidden :
         {"http://", "https://", "src=\"//", "@import", "url(", "<script", "<iframe"}) {
        CAPTURE(forbidden);
        CHECK(html.find(forbidden) == std::string::npos);
    }
    CHECK(html.find("default-src 'none'") != std::string::npos);
}

TEST_CASE("page: pictures are inside as PNG, small ones without smoothing") {
    const std::string html = Page("t").figure({.image = dot(1), .caption = "c"}).html();
    CHECK(html.find("data:image/png;base64,iVBORw0KGgo") != std::string::npos);  // the signature of PNG
    CHECK(html.find("<img class=\"px\"") != std::string::npos);
    const Tensor large = Tensor::from(std::vector<uint8_t>(200 * 100 * 3, 5), {200, 100, 3});
    const std::string smooth = Page("t").figure({.image = large, .caption = "c"}).html();
    CHECK(smooth.find("<img width=\"100\" height=\"200\"") != std::string::npos);
}

TEST_CASE("page: the table of contents links every section, and equal titles to different places") {
    const std::string html = Page("t").section("Two words").section("Two words").subsection("?").html();
    for (const char* id : {"two-words", "two-words-2", "section"}) {
        CAPTURE(id);
        CHECK(html.find("href=\"#" + std::string(id) + "\"") != std::string::npos);
        CHECK(html.find(" id=\"" + std::string(id) + "\"") != std::string::npos);
    }
}

TEST_CASE("page: figures are numbered through") {
    const Figure one{.image = dot(1), .caption = "c"};
    const std::string html = Page("t").figure(one).figures({one, one}).grid({.pictures = {{dot(1)}}}).html();
    for (const char* number : {"Figure 1<", "Figure 2<", "Figure 3<", "Figure 4<"}) {
        CHECK(html.find(number) != std::string::npos);
    }
}

TEST_CASE("page: a column of numbers is set right-aligned, a column of words is not") {
    const std::string html =
        Page("t")
            .table({.columns = {"name", "accuracy"}, .rows = {{"a", "97.8 \u00b1 0.4 %"}, {"b", "\u2013"}}})
            .html();
    CHECK(html.find("<td>a</td><td class=\"n\">97.8") != std::string::npos);
    CHECK(html.find("<td class=\"n\">\u2013") != std::string::npos);
    const std::string words =
        Page("t").table({.columns = {"found"}, .rows = {{"0.91 against 0.42; 5 of 5 seeds agree"}}}).html();
    CHECK(words.find("<td>0.91 against") != std::string::npos);
}

TEST_CASE("page: code between backquotes is set as code, an unpaired backquote stays") {
    const std::string html = Page("t").text("run `a < b` now\n\nnext ` one").html();
    CHECK(html.find("<p>run <code>a &lt; b</code> now</p>") != std::string::npos);
    CHECK(html.find("<p>next ` one</p>") != std::string::npos);
}

TEST_CASE("page: wrong use says what is wrong") {
    CHECK_THROWS_WITH_AS(Page("t").table({.columns = {"a"}, .rows = {{"1", "2"}}}),
                         doctest::Contains("2 cells for 1 columns"), Error);
    CHECK_THROWS_AS(Page("t").figure({.caption = "neither picture nor drawing"}), Error);
    CHECK_THROWS_WITH_AS(Page("t").figure({.image = Tensor::from<float>({1}, {1, 1, 1})}),
                         doctest::Contains("expected a u8 picture"), Error);
}

TEST_CASE("clean_text: invalid UTF-8 and control characters are replaced, the rest stays") {
    CHECK(clean_text("gr\u00fcn \u2013 \U0001F600\n\t") == "gr\u00fcn \u2013 \U0001F600\n\t");
    CHECK(clean_text("a\xff\x01z") == "a\ufffd\ufffdz");
    CHECK(clean_text("\xc0\xaf") == "\ufffd\ufffd");            // overlong
    CHECK(clean_text("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");  // surrogate
    CHECK(clean_text("\xe2\x82") == "\ufffd\ufffd");            // cut short
}

TEST_CASE("shorten: counts characters, not bytes") {
    CHECK(shorten("gr\u00fcner", 6) == "gr\u00fcner");
    CHECK(shorten("gr\u00fcner", 4) == "gr\u00fc\u2026");
}
