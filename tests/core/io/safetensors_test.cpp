#include "core/io/safetensors.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/core/io/support.h"

using namespace backlight;
using namespace backlight::io_testing;

namespace {

/// A safetensors file with this header and so many zero bytes of data.
Bytes file_bytes(const std::string& header, size_t data) {
    Bytes bytes;
    for (int shift = 0; shift < 64; shift += 8) {
        bytes.push_back(static_cast<uint8_t>(uint64_t{header.size()} >> shift));
    }
    bytes.insert(bytes.end(), header.begin(), header.end());
    bytes.resize(bytes.size() + data);
    return bytes;
}

std::string entry(std::string_view name, std::string_view dtype, std::string_view shape,
                  std::string_view offsets) {
    return concat_text('"', name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)",
                       offsets, '}');
}

}  // namespace

TEST_CASE("read_safetensors: reads what the public package wrote") {
    const SafetensorsFile file = read_safetensors(fixture("plain.safetensors"));
    CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
    REQUIRE(file.tensors.size() == 7);
    CHECK(file.tensors.at("layer.weight").shape() == Shape{2, 3});
    CHECK(file.tensors.at("layer.weight").to_vector<float>() ==
          std::vector<float>{0.0f, 0.25f, 0.5f, 0.75f, 1.0f, 1.25f});
    CHECK(file.tensors.at("layer.bias").to_vector<float>() == std::vector<float>{-1.5f, 2.25f});
    CHECK(file.tensors.at("running.mean").to_vector<double>() == std::vector<double>{1.0 / 3.0});
    CHECK(file.tensors.at("steps").shape() == Shape{});
    CHECK(file.tensors.at("steps").to_vector<int64_t>() == std::vector<int64_t>{int64_t{1} << 40});
    CHECK(file.tensors.at("pixels").to_vector<uint8_t>() == Bytes{0, 128, 255});
    CHECK(file.tensors.at("nothing").shape() == Shape{0, 4});
    CHECK(file.tensors.at("größe \"q\"\\").to_vector<int64_t>() == std::vector<int64_t>{7});
}

TEST_CASE("read_safetensors: other types become the nearest of ours") {
    const auto tensors = read_safetensors(fixture("converted.safetensors")).tensors;
    REQUIRE(tensors.size() == 8);
    CHECK(tensors.at("bool").to_vector<uint8_t>() == Bytes{1, 0});
    CHECK(tensors.at("i8").to_vector<int64_t>() == std::vector<int64_t>{-128, 127});
    CHECK(tensors.at("i16").to_vector<int64_t>() == std::vector<int64_t>{-32768, 32767});
    CHECK(tensors.at("u16").to_vector<int64_t>() == std::vector<int64_t>{65535});
    CHECK(tensors.at("i32").to_vector<int64_t>() == std::vector<int64_t>{-2147483648LL, 2147483647LL});
    CHECK(tensors.at("u32").to_vector<int64_t>() == std::vector<int64_t>{4294967295LL});
    CHECK(tensors.at("f16").shape() == Shape{2, 2});
    CHECK(tensors.at("f16").to_vector<float>() ==
          std::vector<float>{1.0f, -2.5f, 65504.0f, 5.9604644775390625e-08f});
    CHECK(tensors.at("bf16").to_vector<float>() ==
          std::vector<float>{1.0f, -2.5f, 3.140625f, std::numeric_limits<float>::infinity()});
}

TEST_CASE("write_safetensors: writes the bytes that the public package writes") {
    const TemporaryFolder folder;
    for (const char* name : {"plain.safetensors", "no_tensors.safetensors"}) {
        const SafetensorsFile file = read_safetensors(fixture(name));
        write_safetensors(folder / name, file.tensors, file.metadata);
        CHECK(slurp(folder / name) == slurp(fixture(name)));
    }
}

TEST_CASE("write_safetensors: what is written is read back") {
    const TemporaryFolder folder;
    std::map<std::string, Tensor> tensors;
    for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
        for (const Shape& shape :
             {Shape{}, Shape{5}, Shape{0}, Shape{2, 0}, Shape{3, 5}, Shape{2, 1, 3, 1, 2, 2}}) {
            tensors[concat_text(dtype, shape)] = Tensor::arange(shape.numel(), dtype).reshape(shape);
        }
    }
    const std::map<std::string, std::string> metadata = {
        {"b", "text with \"quotes\"\n"}, {"a", ""}, {"ä", "日本"}};
    write_safetensors(folder / "x.safetensors", tensors, metadata);
    const SafetensorsFile file = read_safetensors(folder / "x.safetensors");
    CHECK(file.metadata == metadata);
    REQUIRE(file.tensors.size() == tensors.size());
    for (const auto& [name, x] : tensors) {
        CAPTURE(name);
        const Tensor& y = file.tensors.at(name);
        CHECK(y.dtype() == x.dtype());
        CHECK(y.shape() == x.shape());
        CHECK(y.to(DType::f64).to_vector<double>() == x.to(DType::f64).to_vector<double>());
    }
}

TEST_CASE("write_safetensors: wrong use is refused and no file appears") {
    const TemporaryFolder folder;
    const auto path = folder / "x.safetensors";
    const auto write = [&](const std::string& name, const Tensor& tensor, const std::string& text = "") {
        return error_of([&] { write_safetensors(path, {{name, tensor}}, {{"key", text}}); });
    };
    CHECK(contains(write("w", Tensor()), "tensor \"w\" has no data"));
    CHECK(contains(write("w", Tensor::ones({2}).without_data()), "tensor \"w\" has no data"));
    CHECK(contains(write("__metadata__", Tensor::ones({2})), "named __metadata__"));
    CHECK(contains(write("\xFF", Tensor::ones({2})), "not valid UTF-8"));
    CHECK(contains(write("w", Tensor::ones({2}), "\xC3"), "not valid UTF-8"));
    CHECK(folder.count_files() == 0);
}

TEST_CASE("read_safetensors: every malformed file gives one error that names it and says what is wrong") {
    const TemporaryFolder folder;
    const std::string a = entry("a", "F32", "[2]", "[0,8]");
    const std::string deep(100000, '[');
    const std::vector<std::pair<Bytes, std::string>> cases = {
        {{}, "only 0 bytes"},
        {{1, 0, 0}, "only 3 bytes"},
        {{9, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, "header claims 9 bytes, the file holds 2"},
        {Bytes(16, 0xFF), "header claims 18446744073709551615 bytes, the file holds 8"},
        {file_bytes("", 0), "does not begin with '{'"},
        {file_bytes("[1]", 0), "does not begin with '{'"},
        {file_bytes(" {}", 0), "does not begin with '{'"},
        {file_bytes("{\"a\":", 0), "not valid JSON"},
        {file_bytes("{} x", 0), "not valid JSON near its byte 4"},
        {file_bytes("{\"a\xFF\":1}", 0), "not valid JSON"},
        {file_bytes("{\"a\":" + deep, 0), "nests deeper"},
        {file_bytes("{\"a\":1}", 0), "tensor \"a\" is not described by an object"},
        {file_bytes("{" + a + "," + a + "}", 8), "duplicate name \"a\""},
        {file_bytes(R"({"a":{"dtype":"F32","dtype":"F64","shape":[2],"data_offsets":[0,8]}})", 8),
         "duplicate name \"dtype\""},
        {file_bytes(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8), "\"a\" has no dtype"},
        {file_bytes(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8), "\"a\" has no shape"},
        {file_bytes(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "\"a\" has no data_offsets"},
        {file_bytes(R"({"a":{"dtype":5,"shape":[2],"data_offsets":[0,8]}})", 8),
         "\"a\" has a dtype that is not text"},
        {file_bytes("{" + entry("a", "F31", "[2]", "[0,8]") + "}", 8),
         "\"a\" has dtype \"F31\", which is not supported"},
        {file_bytes("{" + entry("a", "F32", "2", "[0,8]") + "}", 8), "shape is not a list"},
        {file_bytes("{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8),
         "shape holds something else than integers"},
        {file_bytes("{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", 8),
         "shape holds something else than integers"},
        {file_bytes("{" + entry("a", "F32", "[18446744073709551615]", "[0,8]") + "}", 8),
         "shape holds something else"},
        {file_bytes("{" + entry("a", "F32", "[1,1,1,1,1,1,2]", "[0,8]") + "}", 8),
         "has 7 axes, expected at most 6"},
        {file_bytes("{" + entry("a", "F32", "[2]", "[0]") + "}", 8), "data_offsets holds 1 numbers"},
        {file_bytes("{" + entry("a", "F32", "[2]", "[0,\"8\"]") + "}", 8),
         "data_offsets holds something else"},
        {file_bytes("{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8),
         "\"a\" ends at 0 before it begins at 8"},
        {file_bytes("{" + entry("a", "F32", "[3]", "[0,8]") + "}", 8),
         "shape (3,) does not match data_offsets"},
        {file_bytes("{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}", 0),
         "does not match data_offsets"},
        {file_bytes("{" + entry("a", "F32", "[0,4611686018427387904,4]", "[0,0]") + "}", 0),
         "does not match data_offsets"},
        {file_bytes("{" + entry("a", "F32", "[250000000000]", "[0,1000000000000]") + "}", 8),
         "\"a\" ends at byte 1000000000000 of the data, but the file holds 8"},
        {file_bytes("{" + a + "}", 7), "\"a\" ends at byte 8 of the data, but the file holds 7"},
        {file_bytes("{" + a + "}", 9), "1 bytes follow the last tensor \"a\""},
        {file_bytes("{}", 3), "3 bytes follow the last tensor"},
        {file_bytes("{" + entry("a", "F32", "[2]", "[4,12]") + "}", 12),
         "hole of 4 bytes before tensor \"a\""},
        {file_bytes("{" + a + "," + entry("b", "F32", "[1]", "[12,16]") + "}", 16),
         "hole of 4 bytes before tensor \"b\""},
        {file_bytes("{" + a + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12), "tensor \"b\" overlaps"},
        {file_bytes("{" + a + "," + entry("b", "F32", "[2]", "[0,8]") + "}", 8), "tensor \"b\" overlaps"},
        {file_bytes(R"({"__metadata__":[]})", 0), "__metadata__ is not a map"},
        {file_bytes(R"({"__metadata__":{"k":1}})", 0), "__metadata__ holds \"k\", which is not text"},
    };
    for (const auto& [bytes, expected] : cases) {
        spill(folder / "damaged.safetensors", bytes);
        const std::string text = error_of([&] { (void)read_safetensors(folder / "damaged.safetensors"); });
        CAPTURE(expected);
        CAPTURE(text);
        CHECK(contains(text, expected));
        CHECK(contains(text, "damaged.safetensors"));
    }
    CHECK(contains(error_of([&] { (void)read_safetensors(folder / "none"); }), "none: No such file"));
    CHECK(contains(error_of([] { (void)read_safetensors(fixture("unsupported.safetensors")); }),
                   "tensor \"scales\" has dtype \"F8_E4M3\", which is not supported"));
}

TEST_CASE("read_safetensors: a header beyond the limit is refused before it is loaded") {
    const TemporaryFolder folder;
    const auto path = folder / "x.safetensors";
    Bytes bytes = file_bytes("{}", 0);
    bytes[3] = 0x10;  // 2^28 + 2 bytes of header, in a sparse file that does hold them
    spill(path, bytes);
    std::filesystem::resize_file(path, uintmax_t{1} << 29);
    CHECK(contains(error_of([&] { (void)read_safetensors(path); }), "expected at most 100000000"));
}

TEST_CASE("read_safetensors: tensors may lie in any order and the header may be padded") {
    const TemporaryFolder folder;
    Bytes bytes = file_bytes(
        "{" + entry("a", "U8", "[1]", "[1,2]") + "," + entry("b", "U8", "[1]", "[0,1]") + "}  \n ", 0);
    bytes.push_back(5);
    bytes.push_back(6);
    spill(folder / "x", bytes);
    const auto tensors = read_safetensors(folder / "x").tensors;
    CHECK(tensors.at("a").item() == 6);
    CHECK(tensors.at("b").item() == 5);
}

TEST_CASE("read_safetensors: damaged copies are read or refused, never anything else") {
    const TemporaryFolder folder;
    for (const char* name : {"plain.safetensors", "converted.safetensors"}) {
        read_damaged_copies(slurp(fixture(name)), 2000, [&](const Bytes& damaged) {
            spill(folder / "x", damaged);
            (void)read_safetensors(folder / "x");
        });
    }
}
