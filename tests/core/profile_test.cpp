#include "core/profile.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <thread>

using namespace backlight;

namespace {

void spend(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

}  // namespace

TEST_CASE("profile: own time leaves out the spans within, and products belong to the innermost") {
    const Profile profile;
    {
        const Span outer("step");
        spend(4);
        {
            const Span inner("conv2d", "'");
            Span::count(5e6);
            spend(20);
        }
    }
    REQUIRE(profile.events().size() == 2);
    const auto& [inner, outer] = std::pair(profile.events()[0], profile.events()[1]);
    CHECK(inner.name == "conv2d'");
    CHECK(inner.products == 5e6);
    CHECK(outer.name == "step");
    CHECK(outer.products == 0);
    CHECK(outer.duration_us >= 24e3);
    CHECK(outer.own_us == doctest::Approx(outer.duration_us - inner.duration_us));
    CHECK(profile.table().find("conv2d'") != std::string::npos);
    const auto trace = nlohmann::json::parse(profile.chrome_trace());
    REQUIRE(trace["traceEvents"].size() == 2);
    CHECK(trace["traceEvents"][0]["ph"] == "X");
    CHECK(trace["traceEvents"][0]["ts"].get<double>() >= trace["traceEvents"][1]["ts"].get<double>());
}

TEST_CASE("profile: nothing is recorded without one, and profiles nest") {
    { const Span span("nobody looks"); }
    const Profile outer;
    {
        const Profile inner;
        const Span span("seen by the inner one");
        CHECK(Profile::current() == &inner);
    }
    CHECK(outer.events().empty());
    CHECK(Profile::current() == &outer);
}
