#include "core/io/npy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/io/stored_type.h"
#include "tests/core/io/support.h"

using namespace backlight;
using namespace backlight::io_testing;

namespace {

/// An npy file with this header and so many zero bytes of data.
Bytes npy_bytes(std::string header, size_t data, uint8_t major = 1) {
    Bytes bytes = to_bytes("\x93NUMPY");
    bytes.push_back(major);
    bytes.push_back(0);
    for (int shift = 0; shift < (major == 1 ? 16 : 32); shift += 8) {
        bytes.push_back(static_cast<uint8_t>(header.size() >> shift));
    }
    bytes.insert(bytes.end(), header.begin(), header.end());
    bytes.resize(bytes.size() + data);
    return bytes;
}

std::string header(std::string_view shape, std::string_view descr = "<f4") {
    return concat_text("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }\n");
}

}  // namespace

TEST_CASE("read_npy: arrays that NumPy wrote have their values") {
    CHECK(read_npy(fixture("f4.npy")).to_vector<float>() ==
          std::vector<float>{-0.5f, -0.25f, 0.0f, 0.25f, 0.5f, 0.75f});
    CHECK(read_npy(fixture("f4.npy")).shape() == Shape{2, 3});
    CHECK(read_npy(fixture("f8.npy")).to_vector<double>()[1] == 1.0 / 3.0);
    CHECK(read_npy(fixture("i8.npy")).to_vector<int64_t>()[5] == 5 - (int64_t{1} << 40));
    CHECK(read_npy(fixture("u1.npy")).to_vector<uint8_t>() == Bytes{0, 50, 100, 150, 200, 250});
    CHECK(read_npy(fixture("scalar.npy")).shape() == Shape{});
    CHECK(read_npy(fixture("scalar.npy")).item() == 2.5);
    CHECK(read_npy(fixture("empty.npy")).shape() == Shape{0, 3});
    CHECK(read_npy(fixture("rank6.npy")).shape() == Shape{1, 2, 2, 4, 2, 2});
    CHECK(read_npy(fixture("rank6.npy")).to_vector<float>()[63] == 63.0f);
}

TEST_CASE("read_npy: other types become the nearest of ours") {
    CHECK(read_npy(fixture("i1.npy")).to_vector<int64_t>() == std::vector<int64_t>{-128, -1, 127});
    CHECK(read_npy(fixture("i2.npy")).to_vector<int64_t>() == std::vector<int64_t>{-32768, 32767});
    CHECK(read_npy(fixture("u2.npy")).to_vector<int64_t>() == std::vector<int64_t>{65535});
    CHECK(read_npy(fixture("i4.npy")).to_vector<int64_t>() ==
          std::vector<int64_t>{-2147483648LL, 2147483647LL});
    CHECK(read_npy(fixture("u4.npy")).to_vector<int64_t>() == std::vector<int64_t>{4294967295LL});
    CHECK(read_npy(fixture("b1.npy")).to_vector<uint8_t>() == Bytes{1, 0, 1});

    const auto half = read_npy(fixture("f2.npy")).to_vector<float>();
    REQUIRE(half.size() == 9);
    CHECK(half[0] == 1.0f);
    CHECK(half[1] == 0.333251953125f);  // 1365 / 4096: 1/3 to eleven bits
    CHECK(half[2] == 65504.0f);
    CHECK(half[3] == 6.103515625e-05f);         // 2^-14
    CHECK(half[4] == 5.9604644775390625e-08f);  // 2^-24
    CHECK(half[5] == std::numeric_limits<float>::infinity());
    CHECK(half[6] == -std::numeric_limits<float>::infinity());
    CHECK((half[7] == 0.0f && std::signbit(half[7])));
    CHECK(std::isnan(half[8]));
}

TEST_CASE("float_from_half: all 65536 values agree with their definition") {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const int exponent = static_cast<int>(bits >> 10 & 0x1F);
        const double fraction = bits & 0x3FF;
        const double magnitude =
            exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
        const float value = float_from_half(static_cast<uint16_t>(bits));
        CAPTURE(bits);
        REQUIRE(std::signbit(value) == ((bits & 0x8000U) != 0));
        if (exponent == 31) {
            REQUIRE((fraction == 0 ? std::isinf(value) : std::isnan(value)));
        } else {
            REQUIRE(std::abs(static_cast<double>(value)) == magnitude);
        }
    }
}

TEST_CASE("read_npy: an array in column order is put into row order") {
    const Tensor x = read_npy(fixture("fortran.npy"));
    CHECK(x.shape() == Shape{2, 3, 4});
    CHECK(x.to_vector<int64_t>() == Tensor::arange(24, DType::i64).to_vector<int64_t>());
}

TEST_CASE("read_npy: versions 2 and 3 differ in the header only") {
    for (const char* name : {"version2.npy", "version3.npy"}) {
        CHECK(read_npy(fixture(name)).to_vector<float>() == std::vector<float>{0, 1, 2, 3, 4, 5});
    }
}

TEST_CASE("write_npy: writes the bytes that numpy.save writes") {
    const TemporaryFolder folder;
    for (const char* name :
         {"f4.npy", "f8.npy", "i8.npy", "u1.npy", "scalar.npy", "empty.npy", "vector.npy", "rank6.npy"}) {
        CAPTURE(name);
        write_npy(folder / name, read_npy(fixture(name)));
        CHECK(slurp(folder / name) == slurp(fixture(name)));
    }
}

TEST_CASE("write_npy: what is written is read back") {
    const TemporaryFolder folder;
    for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
        for (const Shape& shape :
             {Shape{}, Shape{1}, Shape{7}, Shape{0}, Shape{2, 0, 3}, Shape{3, 5}, Shape{2, 1, 3, 1, 2, 2}}) {
            CAPTURE(dtype);
            CAPTURE(shape);
            const Tensor x = Tensor::arange(shape.numel(), dtype).reshape(shape);
            write_npy(folder / "x.npy", x);
            const Tensor y = read_npy(folder / "x.npy");
            CHECK(y.shape() == shape);
            CHECK(y.dtype() == dtype);
            CHECK(y.to(DType::f64).to_vector<double>() == x.to(DType::f64).to_vector<double>());
            CHECK(slurp(folder / "x.npy").size() % 64 == x.bytes() % 64);  // the data is aligned
        }
    }
}

TEST_CASE("write_npy: an undefined tensor is refused and no file appears") {
    const TemporaryFolder folder;
    CHECK(contains(error_of([&] { write_npy(folder / "x.npy", Tensor()); }), "undefined"));
    CHECK(contains(error_of([&] { write_npy(folder / "x.npy", Tensor::ones({2}).without_data()); }),
                   "not kept"));
    CHECK(folder.count_files() == 0);
}

TEST_CASE("read_npy: every malformed file gives one error that names it and says what is wrong") {
    const TemporaryFolder folder;
    const std::string huge = "9223372036854775807";
    const std::vector<std::pair<Bytes, std::string>> cases = {
        {{}, "not an npy file"},
        {to_bytes("NUMPY and more text"), "not an npy file"},
        {to_bytes("\x93NUMPY"), "truncated in the npy version"},
        {to_bytes("\x93NUMPY\x01"), "truncated in the npy version"},
        {npy_bytes("", 0, 4), "got 4.0"},
        {Bytes{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 5}, "truncated in the length"},
        {Bytes{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 5, 0}, "truncated in the length"},
        {Bytes{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 0xFF, 0xFF, '{'}, "claims 65535 bytes, the file holds 1"},
        {Bytes{0x93, 'N', 'U', 'M', 'P', 'Y', 3, 0, 0xFF, 0xFF, 0xFF, 0xFF}, "claims 4294967295 bytes"},
        {npy_bytes(header("(2, 3)"), 23),
         "truncated: shape (2, 3) of type <f4 needs 24 bytes, the file holds 23"},
        {npy_bytes(header("(2, 3)"), 25), "1 bytes follow"},
        {npy_bytes(header("(" + huge + ",)"), 8), "more elements than 64 bits"},
        {npy_bytes(header("(4294967296, 4294967296)"), 8), "more elements than 64 bits"},
        {npy_bytes(header("(0, " + huge + ", 2)"), 0), "more elements than 64 bits"},
        {npy_bytes(header("(99999999999999999999,)"), 8), "beyond 64 bits"},
        {npy_bytes(header("(1000000000000,)"), 8), "truncated"},
        {npy_bytes(header("(-1,)"), 8), "negative extent -1"},
        {npy_bytes(header("(1, 1, 1, 1, 1, 1, 1)"), 4), "at most 6 axes"},
        {npy_bytes(header("(x,)"), 4), "no integer"},
        {npy_bytes(header("3"), 12), "'(' belongs"},
        {npy_bytes(header("(3"), 12), "no integer"},
        {npy_bytes(header("(3 4)"), 48), "')' belongs"},
        {npy_bytes(header("(2,)", "<u8"), 16), "'<u8' is not supported"},
        {npy_bytes(header("(2,)", ""), 16), "'' is not supported"},
        {npy_bytes(header("(2,)", "f4"), 8), "'f4' is not supported"},
        {npy_bytes("", 0), "'{' belongs"},
        {npy_bytes("{", 0), "no quoted text"},
        {npy_bytes("{}", 0), "without descr"},
        {npy_bytes("{'descr': '<f4', 'shape': (1,)}", 4), "without descr"},
        {npy_bytes("{'descr': '<f4', 'descr': '<f4'}", 4), "the same key twice"},
        {npy_bytes("{'order': True}", 4), "a key other than"},
        {npy_bytes("{'fortran_order': Maybe}", 4), "neither True nor False"},
        {npy_bytes(header("(1,)") + "x", 4), "text after the dictionary"},
        {npy_bytes(header("(1,)") + std::string(1, '\0'), 4), "text after the dictionary"},
    };
    for (const auto& [bytes, expected] : cases) {
        spill(folder / "damaged.npy", bytes);
        const std::string text = error_of([&] { (void)read_npy(folder / "damaged.npy"); });
        CAPTURE(expected);
        CAPTURE(text);
        CHECK(contains(text, expected));
        CHECK(contains(text, "damaged.npy"));
    }
    CHECK(contains(error_of([&] { (void)read_npy(folder / "none.npy"); }), "none.npy: No such file"));
    CHECK(contains(error_of([&] { (void)read_npy(folder / "."); }), "folder"));
    CHECK(contains(error_of([] { (void)read_npy("/dev/null"); }), "not a regular file"));
    CHECK(
        contains(error_of([] { (void)read_npy(fixture("big_endian.npy")); }), "big-endian elements ('>f4')"));
    CHECK(contains(error_of([] { (void)read_npy(fixture("complex.npy")); }), "'<c8' is not supported"));
    CHECK(contains(error_of([] { (void)read_npy(fixture("records.npy")); }), "structured"));
}

TEST_CASE("read_npy: a header may be written in other ways that Python reads the same") {
    const TemporaryFolder folder;
    for (const char* text :
         {"{\"shape\":(2L,3L),\"descr\":\"<f4\",\"fortran_order\":False}",
          " { 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , 'descr' : '<f4' , } \n\n"}) {
        spill(folder / "x.npy", npy_bytes(text, 24));
        CHECK(read_npy(folder / "x.npy").shape() == Shape{2, 3});
    }
}

TEST_CASE("read_npy: damaged copies are read or refused, never anything else") {
    const TemporaryFolder folder;
    for (const char* name : {"f4.npy", "fortran.npy"}) {
        read_damaged_copies(slurp(fixture(name)), 2000, [&](const Bytes& damaged) {
            spill(folder / "x.npy", damaged);
            (void)read_npy(folder / "x.npy");
        });
    }
}
