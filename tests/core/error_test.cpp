#include "core/error.h"

#include <doctest/doctest.h>

using namespace backlight;

TEST_CASE("error: a failed check throws its text, a passed one does not build it") {
    int built = 0;
    const auto text = [&] { return ++built; };
    CHECK_NOTHROW([&] { BACKLIGHT_CHECK(true, "never ", text()); }());
    CHECK(built == 0);
    CHECK_THROWS_WITH_AS([&] { BACKLIGHT_CHECK(1 > 2, "conv2d: expected ", 64, ", got ", 3); }(),
                         "conv2d: expected 64, got 3", Error);
}

TEST_CASE("error: the text names the layer that is being executed") {
    const ScopeName outer("features");
    {
        const ScopeName inner("5");
        CHECK(ScopeName::path() == "features.5");
        CHECK_THROWS_WITH_AS(throw_error("conv2d: no"), "conv2d: no [layer features.5]", Error);
    }
    CHECK(ScopeName::path() == "features");
    const ScopeName nameless("");
    CHECK(ScopeName::path() == "features");
}

TEST_CASE("error: an unknown name lists the near one and the known ones") {
    CHECK(unknown_name("rule", "zpluss", {"epsilon", "zplus"}) ==
          "unknown rule \"zpluss\"; did you mean zplus?; known: epsilon, zplus");
    CHECK(unknown_name("rule", "quite different", {"epsilon"}) ==
          "unknown rule \"quite different\"; known: epsilon");
    std::vector<std::string> many;
    for (int i = 0; i < 1000; ++i) {
        many.push_back("class" + std::to_string(i));
    }
    const std::string text = unknown_name("class", "clas7", many);
    CHECK(text.starts_with("unknown class \"clas7\"; did you mean class7?; near, of 1000: class7, "));
    CHECK(text.size() < 200);
}
