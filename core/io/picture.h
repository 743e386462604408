// PictureFile: a picture in memory as it was stored, decoded when it is known which of its pixels are needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// Rows and columns of a picture, in pixels.
struct PixelWindow {
    int64_t top = 0, left = 0, height = 0, width = 0;
    bool operator==(const PixelWindow&) const = default;
};

/// u8 (height, width, channels), row by row: what a picture shows in the window.
struct PixelBlock {
    PixelWindow window;
    int channels = 0;
    std::unique_ptr<uint8_t[]> pixels;

    PixelBlock(const PixelWindow& of, int channel_count)  // the pixels are not set
        : window(of), channels(channel_count), pixels(std::make_unique_for_overwrite<uint8_t[]>(size())) {}
    [[nodiscard]] size_t size() const {
        return static_cast<size_t>(window.height * window.width) * static_cast<size_t>(channels);
    }
};

class PictureFile {
public:
    /// Formats, channels and limits are those of read_image (core/io/image.h); `name` begins error texts.
    /// Throws Error when the file is of no known format, cut off, or its header damaged.
    PictureFile(std::vector<uint8_t> bytes, std::string name, int channels);
    [[nodiscard]] static PictureFile open(const std::filesystem::path& path, int channels);

    [[nodiscard]] int64_t height() const { return height_; }
    [[nodiscard]] int64_t width() const { return width_; }
    [[nodiscard]] int channels() const { return channels_; }
    [[nodiscard]] const std::string& name() const { return name_; }

    /// The pixels of at least the window, which lies inside the picture and is not empty. Of a JPEG no more
    /// than needed is decoded; the pixels are those that decoding everything gives. Throws Error when the
    /// picture is damaged there. Safe to call from several threads.
    [[nodiscard]] PixelBlock decode(const PixelWindow& window) const;
    [[nodiscard]] PixelBlock decode() const { return decode({0, 0, height_, width_}); }

private:
    std::vector<uint8_t> bytes_;
    std::string name_;
    int channels_;
    int stored_channels_ = 0;
    int64_t height_ = 0, width_ = 0;
    bool is_plain_jpeg_ = false;  // gray or colour: libjpeg-turbo decodes it
};

}  // namespace backlight
