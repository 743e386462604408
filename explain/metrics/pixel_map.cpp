#include "explain/metrics/pixel_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/options.h"
#include "core/random.h"
#include "explain/methods.h"

namespace backlight {
namespace {

double reduced(std::span<const double> channels, const std::string& reduce) {
    double sum = 0, absolute = 0, square = 0, largest = 0;
    for (const double v : channels) {
        sum += v;
        absolute += std::abs(v);
        square += v * v;
        largest = std::max(largest, std::abs(v));
    }
    if (reduce == "max-abs") {
        return largest;
    }
    if (reduce == "abs-sum") {
        return absolute;
    }
    if (reduce == "mean") {
        return sum / static_cast<double>(channels.size());
    }
    if (reduce == "l2") {
        return std::sqrt(square);
    }
    return reduce == "pos-sum" ? std::max(sum, 0.0) : sum;
}

}  // namespace

std::string default_reduce(const std::string& method) {
    return method_spec(method).name == "saliency" ? "max-abs" : "sum";
}

const std::vector<std::string>& reduce_names() {
    static const std::vector<std::string> names = {"sum", "max-abs", "abs-sum", "mean", "l2", "pos-sum"};
    return names;
}

std::vector<std::vector<double>> pixel_maps(const Tensor& relevance, const std::string& reduce,
                                            int64_t height, int64_t width) {
    const NoGrad off;
    Tensor r = relevance.to(DType::f64);
    if (r.rank() == 4 && (r.dim(1) != height || r.dim(2) != width)) {
        r = resize(Variable(r), height, width).data();
    }
    const bool is_vector = r.rank() == 2 && height == 1 && r.dim(1) == width;
    BACKLIGHT_CHECK(r.rank() == 4 || is_vector, "the relevance of shape ", relevance.shape(),
                    " has no value for each of the ", height * width, " features of the input");
    const auto channels = static_cast<size_t>(r.rank() == 4 ? r.dim(3) : 1);
    const auto pixels = static_cast<size_t>(height * width);
    const std::vector<double> values = r.to_vector<double>();
    std::vector<std::vector<double>> maps(static_cast<size_t>(r.dim(0)));
    for (size_t unit = 0; unit < maps.size(); ++unit) {
        maps[unit].reserve(pixels);
        for (size_t p = 0; p < pixels; ++p) {
            const auto pixel = std::span(values).subspan((unit * pixels + p) * channels, channels);
            maps[unit].push_back(reduced(pixel, reduce));
        }
    }
    return maps;
}

std::vector<int64_t> ranking(std::span<const double> values) {
    std::vector<int64_t> order(values.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
    });
    return order;
}

std::vector<int64_t> removal_order(std::span<const double> values, Order order, const RandomKey& key) {
    if (order == Order::random) {
        return RandomStream(key).permutation(static_cast<int64_t>(values.size()));
    }
    std::vector<int64_t> elements = ranking(values);
    if (order == Order::lerf) {
        std::reverse(elements.begin(), elements.end());
    }
    return elements;
}

const char* name_of(Order order) {
    return order == Order::morf ? "morf" : order == Order::lerf ? "lerf" : "random";
}

Order parse_order(const std::string& name, const std::string& who) {
    for (const Order order : {Order::morf, Order::lerf, Order::random}) {
        if (name == name_of(order)) {
            return order;
        }
    }
    throw_error(concat_text(who, ": ", unknown_name("order", name, {"morf", "lerf", "random"})));
}

int64_t top_count(double fraction, int64_t n) {
    const auto rounded = static_cast<int64_t>(std::floor(fraction * static_cast<double>(n) + 0.5));
    return std::min(std::max<int64_t>(rounded, 1), n);
}

Regions square_regions(int64_t height, int64_t width, int64_t size) {
    const int64_t across = (width + size - 1) / size;
    Regions regions{.count = across * ((height + size - 1) / size)};
    for (int64_t row = 0; row < height; ++row) {
        for (int64_t column = 0; column < width; ++column) {
            regions.of_pixel.push_back((row / size) * across + column / size);
        }
    }
    return regions;
}

std::vector<double> region_sums(const Regions& regions, std::span<const double> map) {
    std::vector<double> sums(static_cast<size_t>(regions.count), 0.0);
    for (size_t p = 0; p < map.size(); ++p) {
        sums[static_cast<size_t>(regions.of_pixel[p])] += map[p];
    }
    return sums;
}

}  // namespace backlight
