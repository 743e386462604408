#include "core/io/image.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "core/io/npy.h"
#include "tests/core/io/support.h"

using namespace backlight;
using namespace backlight::io_testing;

namespace {

int largest_difference(const Tensor& a, const Tensor& b) {
    REQUIRE(a.shape() == b.shape());
    const Bytes x = a.to_vector<uint8_t>(), y = b.to_vector<uint8_t>();
    int largest = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        largest = std::max(largest, std::abs(x[i] - y[i]));
    }
    return largest;
}

/// Every value once or more, different in each channel.
Tensor test_picture(int64_t height, int64_t width, int64_t channels) {
    Bytes values(static_cast<size_t>(height * width * channels));
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<uint8_t>(i * 7 + i / 31);
    }
    return Tensor::from(values, {height, width, channels});
}

void append_png_chunk(Bytes& png, const std::string& type_and_data) {
    const auto put = [&](uint32_t value) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            png.push_back(static_cast<uint8_t>(value >> shift));
        }
    };
    put(static_cast<uint32_t>(type_and_data.size() - 4));
    png.insert(png.end(), type_and_data.begin(), type_and_data.end());
    put(static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(type_and_data.data()),
                                    static_cast<uInt>(type_and_data.size()))));
}

constexpr std::array kPictures = {"rgb.png",     "rgba.png",   "gray.png",     "gray_alpha.png",
                                  "palette.png", "gray16.png", "baseline.jpg", "progressive.jpg",
                                  "gray.jpg",    "cmyk.jpg",   "palette.gif",  "rgb.bmp"};

}  // namespace

TEST_CASE("read_image: lossless pictures have the pixels that Pillow reads, gray widened and alpha dropped") {
    for (const char* name :
         {"rgb.png", "rgba.png", "gray.png", "gray_alpha.png", "palette.png", "palette.gif", "rgb.bmp"}) {
        CAPTURE(name);
        const Tensor expected = read_npy(fixture(concat_text(name, ".rgb.npy")));
        CHECK(largest_difference(read_image(fixture(name)), expected) == 0);
    }
}

TEST_CASE("read_image: JPEG pictures, progressive ones too, have the pixels that Pillow reads") {
    // Of CMYK another decoder makes RGB, which rounds in another way.
    for (const auto& [name, tolerance] : {std::pair("baseline.jpg", 0), std::pair("progressive.jpg", 0),
                                          std::pair("gray.jpg", 0), std::pair("cmyk.jpg", 2)}) {
        CAPTURE(name);
        const Tensor expected = read_npy(fixture(concat_text(name, ".rgb.npy")));
        CHECK(largest_difference(read_image(fixture(name)), expected) <= tolerance);
    }
}

TEST_CASE("read_image: 16-bit samples keep their upper byte") {
    CHECK(largest_difference(read_image(fixture("gray16.png")), read_image(fixture("gray.png"))) == 0);
}

TEST_CASE("read_image: one channel is luma of colours and the value itself of gray pictures") {
    const Tensor luma = read_image(fixture("rgb.png"), 1);
    CHECK(luma.shape() == Shape{19, 23, 1});
    CHECK(largest_difference(luma, read_npy(fixture("rgb.png.luma.npy")).reshape({19, 23, 1})) == 0);
    for (const char* name : {"gray.png", "gray_alpha.png", "gray16.png"}) {
        const Bytes gray = read_image(fixture(name), 1).to_vector<uint8_t>();
        const Bytes widened = read_image(fixture(name), 3).to_vector<uint8_t>();
        for (size_t i = 0; i < gray.size(); ++i) {
            REQUIRE((widened[3 * i] == gray[i] && widened[3 * i + 1] == gray[i] &&
                     widened[3 * i + 2] == gray[i]));
        }
    }
}

TEST_CASE("read_image: four channels keep alpha, which is 255 where a file has none") {
    const Bytes with = read_image(fixture("rgba.png"), 4).to_vector<uint8_t>();
    const Bytes gray_with = read_image(fixture("gray_alpha.png"), 4).to_vector<uint8_t>();
    const Bytes without = read_image(fixture("rgb.png"), 4).to_vector<uint8_t>();
    for (size_t i = 0; i < with.size(); i += 4) {
        const auto expected = static_cast<uint8_t>(i / 4 % 23 * 11);
        REQUIRE(with[i + 3] == expected);
        REQUIRE(gray_with[i + 3] == expected);
        REQUIRE(without[i + 3] == 255);
        REQUIRE(with[i] == without[i]);
    }
}

TEST_CASE("write_png: what is written is read back, whatever the shape") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3, 4}) {
        for (const auto& [height, width] :
             {std::pair(1, 1), std::pair(1, 300), std::pair(300, 1), std::pair(37, 53)}) {
            CAPTURE(channels);
            CAPTURE(height);
            const Tensor x = test_picture(height, width, channels);
            write_png(folder / "x.png", x);
            CHECK(largest_difference(read_image(folder / "x.png", channels), x) == 0);
            CHECK(slurp(folder / "x.png") == encode_png(x));
        }
    }
    CHECK(folder.count_files() == 1);
}

TEST_CASE("encode_png: a smooth picture takes far less room than its pixels") {
    const Tensor x = Tensor::full({200, 200, 3}, 127, DType::u8);
    CHECK(encode_png(x).size() < 1000);
}

TEST_CASE("encode_png: only u8 pictures of one, three or four channels can be written") {
    const std::string expected = "encode_png: expected uint8 of shape (H, W, 1|3|4), not empty, got ";
    const auto error_for = [](const Tensor& x) { return error_of([&] { (void)encode_png(x); }); };
    CHECK(error_for(Tensor::zeros({4, 4, 3})) == expected + "float32 (4, 4, 3)");
    CHECK(error_for(Tensor::zeros({4, 4}, DType::u8)) == expected + "uint8 (4, 4)");
    CHECK(error_for(Tensor::zeros({4, 4, 2}, DType::u8)) == expected + "uint8 (4, 4, 2)");
    CHECK(error_for(Tensor::zeros({0, 4, 3}, DType::u8)) == expected + "uint8 (0, 4, 3)");
    CHECK(contains(error_for(Tensor()), "encode_png: expected uint8"));
}

TEST_CASE("read_image: what is no picture is refused by name") {
    const TemporaryFolder folder;
    const auto error_for = [&](const Bytes& bytes) {
        spill(folder / "x.jpg", bytes);
        return error_of([&] { (void)read_image(folder / "x.jpg"); });
    };
    CHECK(contains(error_for({}), "x.jpg: not a PNG, JPEG, GIF or BMP picture: the file is empty"));
    CHECK(contains(error_for(to_bytes("RIFFxxxxWEBP")),
                   "x.jpg: not a PNG, JPEG, GIF or BMP picture: it begins with 52 49"));
    CHECK(contains(error_of([&] { (void)read_image(folder / "none.png"); }), "none.png: No such file"));
    CHECK(contains(error_of([] { (void)read_image(fixture("rgb.png"), 2); }),
                   "expected 1, 3 or 4 channels, got 2"));
}

TEST_CASE("decode_image: a truncated picture is never read") {
    for (const char* name : kPictures) {
        CAPTURE(name);
        const Bytes whole = slurp(fixture(name));
        const bool has_trailer = contains(name, ".gif");  // a byte behind the picture, which may be missing
        for (size_t length = 0; length < whole.size() - (has_trailer ? 1 : 0); ++length) {
            CAPTURE(length);
            const std::string text =
                error_of([&] { (void)decode_image(std::span(whole).first(length), "half.x"); });
            REQUIRE(contains(text, "half.x: "));
        }
    }
}

TEST_CASE("decode_image: a wrong checksum in a PNG is an error") {
    Bytes png = slurp(fixture("rgb.png"));
    png[png.size() - 20] ^= 1U;
    CHECK(contains(error_of([&] { (void)decode_image(png, "x.png"); }),
                   "x.png: damaged PNG picture: wrong checksum"));
}

TEST_CASE("decode_image: bytes behind a picture do not matter") {
    for (const char* name : {"rgb.png", "baseline.jpg", "palette.gif", "rgb.bmp"}) {
        Bytes longer = slurp(fixture(name));
        longer.resize(longer.size() + 100);
        CHECK(largest_difference(decode_image(longer, name), read_image(fixture(name))) == 0);
    }
}

TEST_CASE("decode_image: a small file that claims a huge picture is refused before memory is taken") {
    Bytes png = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    const std::string extent("\x00\x00\x40\x00", 4);  // 16384
    append_png_chunk(png, "IHDR" + extent + extent + std::string("\x08\x02\x00\x00\x00", 5));
    append_png_chunk(png, "IDAT");
    append_png_chunk(png, "IEND");
    CHECK(contains(error_of([&] { (void)decode_image(png, "bomb.png"); }),
                   "bomb.png: picture of 16384 x 16384 pixels"));
}

TEST_CASE("decode_image: a JPEG whose Huffman table has more than 256 codes is refused") {
    Bytes jpeg = {0xFF, 0xD8, 0xFF, 0xC4, 0x02, 0x13, 0x00};  // a segment of 2 + 1 + 16 + 512 bytes
    Bytes counts(16, 0);
    counts[14] = counts[15] = 255;
    counts[13] = 2;
    jpeg.insert(jpeg.end(), counts.begin(), counts.end());
    jpeg.resize(jpeg.size() + 512);
    jpeg.insert(jpeg.end(), {0xFF, 0xD9});
    CHECK(contains(error_of([&] { (void)decode_image(jpeg, "x.jpg"); }),
                   "x.jpg: damaged JPEG picture: Huffman table"));
}

TEST_CASE("decode_image: damaged copies are read or refused, never anything else") {
    for (const char* name : kPictures) {
        CAPTURE(name);
        // A changed header may claim a large picture, which takes its time: most of the changes meet the
        // data.
        read_damaged_copies(slurp(fixture(name)), 100,
                            [](const Bytes& damaged) { (void)decode_image(damaged, "x"); });
    }
}

TEST_CASE("base64_encode: the test vectors of RFC 4648") {
    const auto encode = [](std::string_view text) { return base64_encode(to_bytes(text)); };
    CHECK(encode("").empty());
    CHECK(encode("f") == "Zg==");
    CHECK(encode("fo") == "Zm8=");
    CHECK(encode("foo") == "Zm9v");
    CHECK(encode("foob") == "Zm9vYg==");
    CHECK(encode("fooba") == "Zm9vYmE=");
    CHECK(encode("foobar") == "Zm9vYmFy");
    CHECK(base64_encode(Bytes{0xFB, 0xFF, 0xBF}) == "+/+/");
}

TEST_CASE("read_image: real photos have the size and the mean colours that Pillow finds") {
    struct Photo {
        const char* name;
        Shape shape;
        std::array<double, 3> mean;
    };
    const Photo photos[] = {
        {"demo-photos-cc0/astronaut.png", {512, 512, 3}, {141.562, 105.759, 96.475}},
        {"demo-photos-cc0/rocket.jpg", {427, 640, 3}, {52.266, 61.294, 82.271}},
        {"demo-photos-cc0/cat_orange.jpg", {653, 980, 3}, {140.972, 120.061, 96.802}},  // progressive
        {"demo-photos-cc0/dog_white.jpg", {651, 980, 3}, {156.319, 144.472, 102.479}},  // progressive
        {"demo-photos-cc0/raccoon.jpg", {384, 512, 3}, {110.675, 117.732, 102.078}},
        {"imagenet-samples/n03908714/n03908714_pencil_sharpener.JPEG",
         {500, 333, 3},
         {130.388, 130.388, 130.388}},  // one component
        {"oxford-iiit-pet/images/Abyssinian_5.jpg",
         {150, 200, 3},
         {126.054, 100.925, 87.307}},  // a PNG with alpha
        {"oxford-iiit-pet/images/Abyssinian_34.jpg", {202, 250, 3}, {125.406, 114.484, 108.775}},  // a GIF
        {"VOCdevkit/VOC2012/SegmentationClass/2007_000129.png", {500, 334, 3}, {93.481, 96.249, 66.737}},
    };
    for (const Photo& photo : photos) {
        const auto path = shared_file(concat_text("data/", photo.name));
        if (path.empty()) {
            return;
        }
        CAPTURE(photo.name);
        const Tensor x = read_image(path);
        REQUIRE(x.shape() == photo.shape);
        const Bytes values = x.to_vector<uint8_t>();
        std::array<double, 3> sum{};
        for (size_t i = 0; i < values.size(); ++i) {
            sum[i % 3] += values[i];
        }
        for (size_t c = 0; c < 3; ++c) {
            const double mean = sum[c] / (static_cast<double>(values.size()) / 3);
            CHECK(std::abs(mean - photo.mean[c]) < 0.25);  // JPEG decoders round differently
        }
    }
}
