#include "core/io/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it
#include <memory>

#include <jpeglib.h>

#include <jerror.h>

#include "core/error.h"

namespace backlight {
namespace {

/// The library's state, and where its errors go. It reports them by a call that must not return: fail() jumps
/// back to the setjmp of the function that called the library. Between the two only frames of C lie, and
/// those functions hold nothing that would need a destructor.
struct Decoder {
    jpeg_decompress_struct info{};
    jpeg_error_mgr errors{};
    std::jmp_buf back;
    char text[JMSG_LENGTH_MAX] = "";

    Decoder() {
        info.err = jpeg_std_error(&errors);
        info.client_data = this;
        errors.error_exit = fail;
        errors.emit_message = judge;
        errors.output_message = [](j_common_ptr) {};
    }
    ~Decoder() { jpeg_destroy_decompress(&info); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    [[noreturn]] static void fail(j_common_ptr info) {
        auto* decoder = static_cast<Decoder*>(info->client_data);
        info->err->format_message(info, decoder->text);
        std::longjmp(decoder->back, 1);
    }

    /// Level -1 is a warning: the library would go on and fill in gray. Only what costs no pixel is forgiven.
    static void judge(j_common_ptr info, int level) {
        constexpr int kWarning = -1;
        const int code = info->err->msg_code;
        const bool harmless =
            code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR;
        if (level == kWarning && !harmless) {
            fail(info);
        }
    }
};

bool read_header(Decoder& decoder, const uint8_t* bytes, size_t size) {
    if (setjmp(decoder.back) != 0) {
        return false;
    }
    jpeg_create_decompress(&decoder.info);
    jpeg_mem_src(&decoder.info, bytes, static_cast<unsigned long>(size));
    jpeg_read_header(&decoder.info, TRUE);
    return true;
}

/// From the header to the first row and the columns `left` to `left + width`, which grow to whole blocks.
bool start(Decoder& decoder, J_COLOR_SPACE colours, JDIMENSION top, JDIMENSION& left, JDIMENSION& width) {
    if (setjmp(decoder.back) != 0) {
        return false;
    }
    decoder.info.out_color_space = colours;
    jpeg_start_decompress(&decoder.info);
    if (width < decoder.info.output_width) {
        jpeg_crop_scanline(&decoder.info, &left, &width);
    }
    jpeg_skip_scanlines(&decoder.info, top);
    return true;
}

bool read_rows(Decoder& decoder, uint8_t* pixels, size_t row_bytes, JDIMENSION top, JDIMENSION end) {
    if (setjmp(decoder.back) != 0) {
        return false;
    }
    while (decoder.info.output_scanline < end) {
        JSAMPROW row = pixels + row_bytes * (decoder.info.output_scanline - top);
        jpeg_read_scanlines(&decoder.info, &row, 1);
    }
    return true;
}

void check(bool good, const Decoder& decoder, std::string_view name) {
    BACKLIGHT_CHECK(good, name, ": damaged JPEG picture: ", decoder.text);
}

}  // namespace

std::optional<JpegHeader> read_jpeg_header(std::span<const uint8_t> bytes, std::string_view name) {
    Decoder decoder;
    check(read_header(decoder, bytes.data(), bytes.size()), decoder, name);
    const J_COLOR_SPACE stored = decoder.info.jpeg_color_space;
    if (stored != JCS_GRAYSCALE && stored != JCS_RGB && stored != JCS_YCbCr) {
        return std::nullopt;
    }
    return JpegHeader{.height = decoder.info.image_height,
                      .width = decoder.info.image_width,
                      .channels = stored == JCS_GRAYSCALE ? 1 : 3};
}

PixelBlock decode_jpeg(std::span<const uint8_t> bytes, std::string_view name, int channels,
                       const PixelWindow& window) {
    // The outermost columns of what is decoded lack the neighbour that colour is interpolated from.
    constexpr int64_t kMargin = 2;
    Decoder decoder;
    check(read_header(decoder, bytes.data(), bytes.size()), decoder, name);
    const int64_t first = std::max<int64_t>(0, window.left - kMargin);
    const int64_t end = std::min<int64_t>(decoder.info.image_width, window.left + window.width + kMargin);
    auto left = static_cast<JDIMENSION>(first);
    auto width = static_cast<JDIMENSION>(end - first);
    check(start(decoder, channels == 1 ? JCS_GRAYSCALE : JCS_RGB, static_cast<JDIMENSION>(window.top), left,
                width),
          decoder, name);
    PixelBlock block({window.top, left, window.height, width}, channels);
    check(read_rows(decoder, block.pixels.get(), static_cast<size_t>(width) * static_cast<size_t>(channels),
                    static_cast<JDIMENSION>(window.top), static_cast<JDIMENSION>(window.top + window.height)),
          decoder, name);
    return block;
}

}  // namespace backlight
