// SLIC superpixels. The distance of pixel p to centre k, with cells of side S and compactness m:
//   D² = |colour_p - colour_k|² / m²  +  |place_p - place_k|² / S²
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "explain/segmentation.h"

namespace backlight {
namespace {

/// sRGB in [0,1] to CIE 1976 L*a*b* under D65 (IEC 61966-2-1; CIE 15).
std::array<double, 3> lab_of(const double* rgb) {
    std::array<double, 3> linear{};
    for (size_t c = 0; c < 3; ++c) {
        linear[c] = rgb[c] <= 0.04045 ? rgb[c] / 12.92 : std::pow((rgb[c] + 0.055) / 1.055, 2.4);
    }
    const auto [r, g, b] = linear;
    const auto f = [](double t) { return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116; };
    const double x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
    const double y = f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b);
    const double z = f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883);
    return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

/// Colours (H * W * C) in which distances of about 1 are just seen.
std::vector<double> colours_of(const Tensor& image) {
    std::vector<double> colours = image.to(DType::f64).to_vector<double>();
    const auto [low, high] = std::minmax_element(colours.begin(), colours.end());
    const double offset = *low, range = *high > *low ? *high - *low : 1;
    const bool is_rgb = image.dim(2) == 3;
    for (double& value : colours) {
        value = (value - offset) / range * (is_rgb ? 1 : 100);
    }
    for (size_t i = 0; is_rgb && i < colours.size(); i += 3) {
        const auto lab = lab_of(&colours[i]);
        std::copy(lab.begin(), lab.end(), colours.begin() + static_cast<int64_t>(i));
    }
    return colours;
}

class Slic {
public:
    Slic(const Tensor& image, const SlicOptions& options)
        : height_(image.dim(0)),
          width_(image.dim(1)),
          channels_(static_cast<size_t>(image.dim(2))),
          colours_(colours_of(image)),
          id_(static_cast<size_t>(height_ * width_)) {
        compactness_ = options.compactness;
        start(grid_cells(height_, width_, options.count));
        for (int64_t i = 0; i < options.iterations && assign(); ++i) {
            move_centres();
        }
    }

    /// Connected pieces; one of less than half a cell joins the neighbour of the nearest colour.
    [[nodiscard]] std::vector<int64_t> connected() const {
        std::vector<int64_t> label(id_.size(), -1);
        std::vector<Piece> pieces;
        for (int64_t first = 0; first < static_cast<int64_t>(id_.size()); ++first) {
            if (label[at(first)] < 0) {
                pieces.push_back(grow(first, static_cast<int64_t>(pieces.size()), label));
            }
        }
        const size_t least = id_.size() / centres_.size() / 2;
        for (Piece& small : pieces) {
            Piece* nearest = nullptr;
            double smallest = std::numeric_limits<double>::infinity();
            for (size_t i = 0; small.pixels.size() < least && i < small.pixels.size(); ++i) {
                for_each_neighbour(small.pixels[i], [&](int64_t next) {
                    Piece& other = pieces[at(label[at(next)])];
                    const double apart = &other == &small ? smallest : distance(small, other);
                    if (apart < smallest) {
                        smallest = apart;
                        nearest = &other;
                    }
                });
            }
            if (nearest != nullptr) {
                nearest->take(small, nearest - pieces.data(), label);
            }
        }
        return in_reading_order(label);
    }

private:
    struct Centre {
        double row, column;
        std::vector<double> colour;
    };

    struct Piece {
        std::vector<int64_t> pixels;
        std::vector<double> colour;  // summed

        void take(Piece& other, int64_t own_label, std::vector<int64_t>& label) {
            for (const int64_t pixel : other.pixels) {
                label[at(pixel)] = own_label;
            }
            pixels.insert(pixels.end(), other.pixels.begin(), other.pixels.end());
            std::transform(colour.begin(), colour.end(), other.colour.begin(), colour.begin(), std::plus<>());
            other.pixels.clear();
        }
    };

    /// The pixels of first's segment that are connected with it.
    [[nodiscard]] Piece grow(int64_t first, int64_t own_label, std::vector<int64_t>& label) const {
        Piece piece{.pixels = {first}, .colour = std::vector<double>(channels_, 0.0)};
        label[at(first)] = own_label;
        for (size_t i = 0; i < piece.pixels.size(); ++i) {
            const int64_t pixel = piece.pixels[i];
            for (size_t c = 0; c < channels_; ++c) {
                piece.colour[c] += colour(pixel)[c];
            }
            for_each_neighbour(pixel, [&](int64_t next) {
                if (label[at(next)] < 0 && id_[at(next)] == id_[at(first)]) {
                    label[at(next)] = own_label;
                    piece.pixels.push_back(next);
                }
            });
        }
        return piece;
    }

    /// Of mean colours, squared.
    [[nodiscard]] double distance(const Piece& a, const Piece& b) const {
        double sum = 0;
        for (size_t c = 0; c < channels_; ++c) {
            const double step = a.colour[c] / static_cast<double>(a.pixels.size()) -
                                b.colour[c] / static_cast<double>(b.pixels.size());
            sum += step * step;
        }
        return sum;
    }

    static std::vector<int64_t> in_reading_order(const std::vector<int64_t>& label) {
        std::vector<int64_t> number(label.size(), -1), ids;
        int64_t count = 0;
        for (const int64_t l : label) {
            int64_t& own = number[at(l)];
            own = own < 0 ? count++ : own;
            ids.push_back(own);
        }
        return ids;
    }

    static size_t at(int64_t pixel) { return static_cast<size_t>(pixel); }
    [[nodiscard]] const double* colour(int64_t pixel) const { return &colours_[at(pixel) * channels_]; }

    template <typename Visit>
    void for_each_neighbour(int64_t pixel, const Visit& visit) const {
        const int64_t row = pixel / width_, column = pixel % width_;
        if (row > 0) {
            visit(pixel - width_);
        }
        if (row + 1 < height_) {
            visit(pixel + width_);
        }
        if (column > 0) {
            visit(pixel - 1);
        }
        if (column + 1 < width_) {
            visit(pixel + 1);
        }
    }

    /// Centres in the middle of equal cells.
    void start(const std::array<int64_t, 2>& cells) {
        const auto [rows, columns] = cells;
        side_ = std::max(static_cast<double>(height_) / static_cast<double>(rows),
                         static_cast<double>(width_) / static_cast<double>(columns));
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j) {
                const int64_t row = (2 * i + 1) * height_ / (2 * rows);
                const int64_t column = (2 * j + 1) * width_ / (2 * columns);
                const double* own = colour(row * width_ + column);
                centres_.push_back(
                    {static_cast<double>(row), static_cast<double>(column), {own, own + channels_}});
            }
        }
    }

    /// Every pixel to the nearest of the centres within 2S; false when nothing changed.
    bool assign() {
        std::vector<double> nearest(id_.size(), std::numeric_limits<double>::infinity());
        const std::vector<int64_t> before = id_;
        const double reach = 2 * side_;
        for (size_t k = 0; k < centres_.size(); ++k) {
            const Centre& centre = centres_[k];
            const auto first = [](double from) {
                return std::max<int64_t>(0, std::llround(std::ceil(from)));
            };
            const auto last = [](double to, int64_t extent) {
                return std::min<int64_t>(extent - 1, std::llround(std::floor(to)));
            };
            for (int64_t i = first(centre.row - reach); i <= last(centre.row + reach, height_); ++i) {
                for (int64_t j = first(centre.column - reach); j <= last(centre.column + reach, width_);
                     ++j) {
                    const int64_t pixel = i * width_ + j;
                    const double d = distance(centre, pixel, i, j);
                    if (d < nearest[at(pixel)]) {
                        nearest[at(pixel)] = d;
                        id_[at(pixel)] = static_cast<int64_t>(k);
                    }
                }
            }
        }
        return id_ != before;
    }

    [[nodiscard]] double distance(const Centre& centre, int64_t pixel, int64_t row, int64_t column) const {
        const double* own = colour(pixel);
        double in_colour = 0;
        for (size_t c = 0; c < channels_; ++c) {
            const double step = own[c] - centre.colour[c];
            in_colour += step * step;
        }
        const double down = static_cast<double>(row) - centre.row,
                     right = static_cast<double>(column) - centre.column;
        return in_colour / (compactness_ * compactness_) + (down * down + right * right) / (side_ * side_);
    }

    void move_centres() {
        std::vector<double> size(centres_.size(), 0.0);
        std::vector<Centre> sums(centres_.size(), {0, 0, std::vector<double>(channels_, 0.0)});
        for (int64_t pixel = 0; pixel < height_ * width_; ++pixel) {
            const auto k = static_cast<size_t>(id_[at(pixel)]);
            size[k] += 1;
            sums[k].row += static_cast<double>(pixel / width_);
            sums[k].column += static_cast<double>(pixel % width_);
            for (size_t c = 0; c < channels_; ++c) {
                sums[k].colour[c] += colour(pixel)[c];
            }
        }
        for (size_t k = 0; k < centres_.size(); ++k) {
            if (size[k] > 0) {  // a centre that lost its pixels stays
                centres_[k] = {sums[k].row / size[k], sums[k].column / size[k], std::move(sums[k].colour)};
                std::for_each(centres_[k].colour.begin(), centres_[k].colour.end(),
                              [&](double& value) { value /= size[k]; });
            }
        }
    }

    int64_t height_, width_;
    size_t channels_;
    std::vector<double> colours_;
    std::vector<int64_t> id_;
    std::vector<Centre> centres_;
    double side_ = 1, compactness_ = 10;
};

}  // namespace

std::vector<int64_t> slic_segments(const Tensor& image, const SlicOptions& options) {
    BACKLIGHT_CHECK(image.rank() == 3 && image.numel() > 0, "slic: expected a picture (H,W,C), got ",
                    image.shape());
    BACKLIGHT_CHECK(options.count >= 1 && options.compactness > 0 && options.iterations >= 1,
                    "slic: expected at least one segment and iteration and a compactness above 0, got ",
                    options.count, ", ", options.iterations, " and ", options.compactness);
    return Slic(image, options).connected();
}

}  // namespace backlight
