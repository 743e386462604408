// Reductions and normalisations, in double on host copies: pictures are small, and the same map gives the
// same bytes whatever device it came from.
#include "report/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "core/error.h"

namespace backlight::report {
namespace {

constexpr std::array<std::pair<std::string_view, Reduce>, 7> kReduces{{{"none", Reduce::none},
                                                                       {"sum", Reduce::sum},
                                                                       {"abs-sum", Reduce::abs_sum},
                                                                       {"max-abs", Reduce::max_abs},
                                                                       {"mean", Reduce::mean},
                                                                       {"l2", Reduce::l2},
                                                                       {"pos-sum", Reduce::pos_sum}}};
constexpr std::array<std::pair<std::string_view, Normalize>, 4> kNormalizes{
    {{"none", Normalize::none},
     {"max-abs", Normalize::max_abs},
     {"minmax", Normalize::minmax},
     {"sum-abs", Normalize::sum_abs}}};

template <typename Table>
std::vector<std::string> names_of(const Table& table) {
    std::vector<std::string> names;
    for (const auto& entry : table) {
        names.emplace_back(entry.first);
    }
    return names;
}

template <typename Table>
auto parse(const Table& table, std::string_view what, std::string_view name) {
    for (const auto& [known, value] : table) {
        if (known == name) {
            return value;
        }
    }
    throw_error(unknown_name(what, name, names_of(table)));
}

Tensor to_f32(const std::vector<double>& values, const Shape& shape) {
    const std::vector<float> narrow(values.begin(), values.end());
    return Tensor::from(narrow, shape);
}

}  // namespace

Reduce parse_reduce(std::string_view name) { return parse(kReduces, "reduction", name); }
Normalize parse_normalize(std::string_view name) { return parse(kNormalizes, "normalisation", name); }
std::vector<std::string> reduce_names() { return names_of(kReduces); }
std::vector<std::string> normalize_names() { return names_of(kNormalizes); }

Tensor reduce_channels(const Tensor& relevance, Reduce reduce) {
    BACKLIGHT_CHECK(relevance.rank() == 3 || relevance.rank() == 4,
                    "reduce_channels: expected (H,W,C) or (N,H,W,C), got ", relevance.shape());
    const std::vector<double> values = finite_values(relevance, "reduce_channels");
    if (reduce == Reduce::none) {
        return to_f32(values, relevance.shape());
    }
    const auto channels = static_cast<size_t>(relevance.dim(-1));
    BACKLIGHT_CHECK(channels > 0, "reduce_channels: no channels in ", relevance.shape());
    std::vector<double> reduced(values.size() / channels);
    for (size_t i = 0; i < reduced.size(); ++i) {
        double sum = 0, abs_sum = 0, max_abs = 0, square_sum = 0;
        for (size_t c = 0; c < channels; ++c) {
            const double value = values[i * channels + c];
            sum += value;
            abs_sum += std::abs(value);
            max_abs = std::max(max_abs, std::abs(value));
            square_sum += value * value;
        }
        switch (reduce) {
            case Reduce::none:
            case Reduce::sum:
                reduced[i] = sum;
                break;
            case Reduce::abs_sum:
                reduced[i] = abs_sum;
                break;
            case Reduce::max_abs:
                reduced[i] = max_abs;
                break;
            case Reduce::mean:
                reduced[i] = sum / static_cast<double>(channels);
                break;
            case Reduce::l2:
                reduced[i] = std::sqrt(square_sum);
                break;
            case Reduce::pos_sum:
                reduced[i] = std::max(sum, 0.0);
                break;
        }
    }
    return to_f32(reduced, relevance.shape().with(-1, 1));
}

Tensor normalize(const Tensor& relevance, Normalize mode) {
    BACKLIGHT_CHECK(relevance.rank() >= 2 && relevance.rank() <= 4,
                    "normalize: expected (H,W), (H,W,C) or (N,H,W,C), got ", relevance.shape());
    std::vector<double> values = finite_values(relevance, "normalize");
    const size_t samples = relevance.rank() == 4 ? static_cast<size_t>(relevance.dim(0)) : 1;
    const size_t size = samples == 0 ? 0 : values.size() / samples;
    for (size_t n = 0; n < samples && size > 0 && mode != Normalize::none; ++n) {
        const std::span<double> sample(values.data() + n * size, size);
        const auto [min, max] = std::minmax_element(sample.begin(), sample.end());
        const double low = *min, high = *max;
        double offset = 0, divisor = 0;
        if (mode == Normalize::max_abs) {
            divisor = std::max(std::abs(low), std::abs(high));
        } else if (mode == Normalize::minmax) {
            offset = low;
            divisor = high - low;
        } else {
            for (const double value : sample) {
                divisor += std::abs(value);
            }
        }
        for (double& value : sample) {
            value = divisor == 0 ? 0 : (value - offset) / divisor;
        }
    }
    return to_f32(values, relevance.shape());
}

double percentile_abs(const Tensor& map, double percent) {
    return percentile_abs(finite_values(map, "percentile_abs"), percent);
}

Tensor batch_item(const Tensor& batch, int64_t index) {
    BACKLIGHT_CHECK(batch.rank() == 4, "batch_item: expected (N,H,W,C), got ", batch.shape());
    BACKLIGHT_CHECK(index >= 0 && index < batch.dim(0), "batch_item: no sample ", index, " in ",
                    batch.shape());
    const Shape shape(batch.shape().extents().subspan(1));
    const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(batch.dtype());
    std::vector<std::byte> host(batch.bytes());
    batch.copy_to_host(host.data());
    return Tensor::from_bytes(host.data() + static_cast<size_t>(index) * bytes, shape, batch.dtype());
}

std::vector<double> finite_values(const Tensor& tensor, std::string_view who) {
    BACKLIGHT_CHECK(tensor.defined() && is_floating(tensor.dtype()), who,
                    ": expected a tensor of f32 or f64, got ",
                    tensor.defined() ? name_of(tensor.dtype()) : "an undefined one");
    std::vector<double> values;
    if (tensor.dtype() == DType::f64) {
        values = tensor.to_vector<double>();
    } else {
        const std::vector<float> narrow = tensor.to_vector<float>();
        values.assign(narrow.begin(), narrow.end());
    }
    const auto bad =
        std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
    BACKLIGHT_CHECK(bad == values.end(), who, ": element ", bad - values.begin(), " of ", tensor.shape(),
                    " is ", *bad, ", not a finite number");
    return values;
}

double percentile_abs(std::vector<double> values, double percent) {
    BACKLIGHT_CHECK(percent >= 0 && percent <= 100, "percentile: expected 0 to 100, got ", percent);
    if (values.empty()) {
        return 0;
    }
    for (double& value : values) {
        value = std::abs(value);
    }
    const double rank = percent / 100 * static_cast<double>(values.size() - 1);
    const auto lower = values.begin() + static_cast<std::ptrdiff_t>(rank);
    std::nth_element(values.begin(), lower, values.end());
    const double low = *lower;
    const double high = lower + 1 == values.end() ? low : *std::min_element(lower + 1, values.end());
    return low + (high - low) * (rank - std::floor(rank));
}

}  // namespace backlight::report
