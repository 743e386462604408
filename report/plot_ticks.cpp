// Where the ticks of an axis stand and what is written at them.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "report/plot.h"

namespace backlight::report {
namespace {

/// 10 to an integer power, correctly rounded where it can be.
double power_of_ten(int exponent) {
    return exponent < 0 ? 1 / std::pow(10.0, -exponent) : std::pow(10.0, exponent);
}

/// Of 1, 2, 5, 10 times a power of ten the one whose ratio to `rough` is nearest to one.
double nice_step(double rough) {
    const double unit = power_of_ten(static_cast<int>(std::floor(std::log10(rough))));
    const double ratio = rough / unit;
    // The borders are the geometric means of neighbours.
    return unit * (ratio < std::sqrt(2.0)    ? 1
                   : ratio < std::sqrt(10.0) ? 2
                   : ratio < std::sqrt(50.0) ? 5
                                             : 10);
}

std::string superscript(int value) {
    constexpr std::array<const char*, 10> digits{"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                                 "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
    std::string text = value < 0 ? "\u207b" : "";
    for (const char digit : std::to_string(std::abs(value))) {
        text += digits[static_cast<size_t>(digit - '0')];
    }
    return text;
}

template <typename... Values>
std::string print(const char* format, Values... values) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, values...);
    return buffer.data();
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
    BACKLIGHT_CHECK(std::isfinite(low) && std::isfinite(high) && low <= high && count > 0,
                    "nice_ticks: expected finite low <= high and a count > 0, got ", low, ", ", high, ", ",
                    count);
    // Closer than this, neighbouring doubles cannot carry the ticks.
    if (high - low <= 1e-12 * std::max(std::abs(low), std::abs(high))) {
        return {low};
    }
    const double step = nice_step((high - low) / count);
    const double inverse = std::round(1 / step);
    std::vector<double> ticks;
    const double slack = 1e-9;
    for (double k = std::ceil(low / step - slack); k <= high / step + slack; ++k) {
        // k / 10 is nearer to the decimal than k * 0.1.
        ticks.push_back(step < 1 && std::abs(inverse * step - 1) < 1e-12 ? k / inverse : k * step);
    }
    return ticks;
}

std::vector<double> log_ticks(double low, double high) {
    BACKLIGHT_CHECK(low > 0 && std::isfinite(high) && low <= high,
                    "log_ticks: expected 0 < low <= high, got ", low, ", ", high);
    const int first = static_cast<int>(std::floor(std::log10(low))) - 1;
    const int last = static_cast<int>(std::ceil(std::log10(high))) + 1;
    const auto within = [&](std::initializer_list<double> factors, int stride) {
        std::vector<double> ticks;
        for (int exponent = first; exponent <= last; ++exponent) {
            for (const double factor : factors) {
                const double tick = factor * power_of_ten(exponent);
                if (exponent % stride == 0 && tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) {
                    ticks.push_back(tick);
                }
            }
        }
        return ticks;
    };
    std::vector<double> ticks = within({1}, std::max(1, (last - first) / 8));
    if (ticks.size() < 3) {
        ticks = within({1, 2, 5}, 1);
    }
    return ticks.size() < 2 ? nice_ticks(low, high) : ticks;
}

std::string tick_label(double value, double step) {
    if (value == 0) {
        return "0";
    }
    const std::string minus = value < 0 ? "\u2212" : "";
    const double size = std::abs(value);
    const double unit = std::abs(step) > 0 ? std::abs(step) : size;
    if (size >= 1e6 || (size < 1e-3 && unit < 1e-3)) {
        int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-12));
        const double mantissa = size / power_of_ten(exponent);
        const std::string power = "10" + superscript(exponent);
        return minus + (std::abs(mantissa - 1) < 1e-9 ? power : print("%.3g", mantissa) + "\u00b7" + power);
    }
    if (unit >= 1000 && std::abs(std::remainder(size, 100)) < 1e-6) {
        return minus + print("%.4g", size / 1000) + "k";
    }
    // As many decimals as the step has, but no more than three digits of it.
    int decimals = std::clamp(static_cast<int>(-std::floor(std::log10(unit) + 1e-9)), 0, 9);
    for (int more = 0; more < 2 && unit < 100; ++more) {
        const double scaled = unit * power_of_ten(decimals);
        decimals += std::abs(scaled - std::round(scaled)) > 1e-6 * scaled ? 1 : 0;
    }
    return minus + print("%.*f", decimals, size);
}

}  // namespace backlight::report
