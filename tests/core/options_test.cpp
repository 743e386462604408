#include "core/options.h"

#include <doctest/doctest.h>

#include <string>

#include "core/error.h"

using namespace backlight;

namespace {

std::string message_of(const std::string& text) {
    try {
        (void)parse_spec(text);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

template <typename Call>
std::string error_of(const Call& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

}  // namespace

TEST_CASE("options: a spec has a name, a place and values") {
    const Spec plain = parse_spec("digits");
    CHECK(plain.name == "digits");
    CHECK(plain.place.empty());
    CHECK(plain.values.empty());

    const Spec full = parse_spec("  cifar10:/data/cifar 10 ( limit = 500 , mean=0.5:0.25:1 ) ");
    CHECK(full.name == "cifar10");
    CHECK(full.place == "/data/cifar 10");
    CHECK(full.values == std::map<std::string, std::string>{{"limit", "500"}, {"mean", "0.5:0.25:1"}});

    CHECK(parse_spec("zplus()").values.empty());
    CHECK(parse_spec("folder:C:/photos").place == "C:/photos");
}

TEST_CASE("options: nested parentheses stay text") {
    const Spec spec = parse_spec("composite(low=flat(a=1, b=2), high=epsilon)");
    CHECK(spec.values == std::map<std::string, std::string>{{"low", "flat(a=1, b=2)"}, {"high", "epsilon"}});
    CHECK(parse_spec(spec.values.at("low")).values.at("b") == "2");
    CHECK(split_list("a(x:y):b:c(d(e:f))", ':') == std::vector<std::string>{"a(x:y)", "b", "c(d(e:f))"});
    CHECK(split_list("", ',').empty());
}

TEST_CASE("options: a place may hold parentheses, and empty options end one that ends in them") {
    CHECK(parse_spec("folder:/photos (old)/x").place == "/photos (old)/x");
    const Spec spec = parse_spec("folder:/photos (old)()");
    CHECK(spec.place == "/photos (old)");
    CHECK(parse_spec(to_text(spec)).place == spec.place);
}

TEST_CASE("options: to_text gives the spec back") {
    for (const char* text : {"digits", "digits(mark=7,size=16)", "folder:/a b(c=d(e=f,g=h))", "mnist:data"}) {
        CHECK(to_text(parse_spec(text)) == text);
    }
}

TEST_CASE("options: malformed text is refused with its reason") {
    CHECK(message_of("digits(mark=7") == "options: the parentheses do not pair up in \"digits(mark=7\"");
    CHECK(message_of("digits mark=7)") == "options: the parentheses do not pair up in \"digits mark=7)\"");
    CHECK(message_of("a(b=(c)") == "options: the parentheses do not pair up in \"a(b=(c)\"");
    CHECK(message_of("a(b=1)c") == "options: nothing may follow \")\" in \"a(b=1)c\"");
    CHECK(message_of("a(b)") == "options: expected key=value, got \"b\" in \"a(b)\"");
    CHECK(message_of("a(b=1,)") == "options: expected key=value, got \"\" in \"a(b=1,)\"");
    CHECK(message_of("a(b=)") == "options: key \"b\" has no value in \"a(b=)\"");
    CHECK(message_of("a(=1)") == "options: \"\" is not a key, in \"a(=1)\"");
    CHECK(message_of("a(b=1,b=2)") == "options: key \"b\" is given twice in \"a(b=1,b=2)\"");
    CHECK(message_of("mnist:") == "options: expected a place after \"mnist:\" in \"mnist:\"");
    CHECK(message_of("mnist:(limit=1)") ==
          "options: expected a place after \"mnist:\" in \"mnist:(limit=1)\"");
    CHECK(message_of("").starts_with("options: expected a name"));
    CHECK(message_of("two words").starts_with("options: expected a name"));
    CHECK(message_of("(a=1)").starts_with("options: expected a name"));
}

TEST_CASE("options: typed values") {
    const Options o(
        parse_spec("x(d=-1.5e-3,i=-7,plus=+4,yes=on,no=false,s=hello,li=8:16:-3,ld=0.5:2,ls=a:b(c:d))"));
    CHECK(o.get("d", 0.0) == -1.5e-3);
    CHECK(o.get("i", 0) == -7);
    CHECK(o.get("i", 0.0) == -7.0);
    CHECK(o.get("plus", int64_t{0}) == 4);
    CHECK(o.get("yes", false));
    CHECK_FALSE(o.get("no", true));
    CHECK(o.get("s", "default") == "hello");
    CHECK(o.get("li", std::vector<int64_t>{}) == std::vector<int64_t>{8, 16, -3});
    CHECK(o.get("ld", std::vector<double>{}) == std::vector<double>{0.5, 2});
    CHECK(o.get("ls", std::vector<std::string>{}) == std::vector<std::string>{"a", "b(c:d)"});
    CHECK(o.has("s"));
    CHECK_FALSE(o.has("absent"));

    CHECK(o.get("absent", 2.5) == 2.5);
    CHECK(o.get("absent", 3) == 3);
    CHECK(o.get("absent", true));
    CHECK(o.get("absent", "text") == "text");
    CHECK(o.get("absent", std::vector<int64_t>{1}) == std::vector<int64_t>{1});
    CHECK_NOTHROW(o.finish());
}

TEST_CASE("options: a value of the wrong type names option and owner") {
    const Options o(parse_spec("zoom(a=two,b=1.5,c=maybe,d=1:x,e=1e999,f=7seven,g=nan)"));
    CHECK(error_of([&] { (void)o.get("a", 0.0); }) == "zoom: option a expects a number, got \"two\"");
    CHECK(error_of([&] { (void)o.get("b", 0); }) == "zoom: option b expects an integer, got \"1.5\"");
    CHECK(error_of([&] { (void)o.get("c", false); }) ==
          "zoom: option c expects true or false, got \"maybe\"");
    CHECK(error_of([&] { (void)o.get("d", std::vector<int64_t>{}); }) ==
          "zoom: option d expects integers separated by \":\", got \"1:x\"");
    CHECK(error_of([&] { (void)o.get("e", 0.0); }) == "zoom: option e expects a number, got \"1e999\"");
    CHECK(error_of([&] { (void)o.get("f", 0); }) == "zoom: option f expects an integer, got \"7seven\"");
    CHECK(error_of([&] { (void)o.get("g", 0.0); }) == "zoom: option g expects a number, got \"nan\"");
}

TEST_CASE("options: ranges and choices") {
    const Options o(parse_spec("zoom(n=11,p=0.5,mode=fast)"));
    CHECK(o.get_within("n", 1, 0, 20) == 11);
    CHECK(o.get_within("p", 0.0, 0.0, 1.0) == 0.5);
    CHECK(error_of([&] { (void)o.get_within("n", 1, 0, 10); }) ==
          "zoom: option n expects an integer from 0 to 10, got 11");
    CHECK(error_of([&] { (void)o.get_within("p", 0.0, 0.0, 0.4); }) ==
          "zoom: option p expects a number from 0 to 0.4, got 0.5");
    CHECK(o.choose("mode", "slow", {"slow", "fast"}) == "fast");
    CHECK(error_of([&] {
              (void)o.choose("mode", "slow", {"slow", "faster"});
          }) == "zoom: unknown mode \"fast\"; did you mean faster?; known: slow, faster");
}

TEST_CASE("options: a key that nobody asked for is refused") {
    const Options o(parse_spec("zoom(nn=3)"));
    (void)o.get("n", 1);
    (void)o.get("noise", 0.1);
    CHECK(error_of([&] { o.finish(); }) == "zoom: unknown option \"nn\"; did you mean n?; known: n, noise");
    const Options none(parse_spec("zoom(x=1)"));
    CHECK(error_of([&] { none.finish(); }) == "zoom: takes no options, got \"x\"");
}
