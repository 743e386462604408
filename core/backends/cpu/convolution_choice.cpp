// A record line:   forward n=8 c=64 h=56 w=56 o=64 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 : nhwc
#include "core/backends/cpu/convolution_choice.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <mutex>
#include <sstream>
#include <string_view>

#include "core/error.h"

namespace backlight {
namespace cpu {
namespace {

constexpr std::array<std::string_view, 3> kDirections{"forward", "backward_data", "backward_weights"};
constexpr std::array<std::string_view, 3> kChoices{"nhwc", "any_layout", "winograd"};

struct Record {
    std::mutex mutex;
    std::map<std::string, ConvChoice> choices;  // sorted by text, and so is what is written
    std::atomic<bool> enabled{false};
    std::atomic<uint64_t> generation{0};
};
Record& the_record() {
    static Record record;
    return record;
}

std::string text_of(const ConvShape& s) {
    const Conv2dAttrs& a = s.attrs;
    return concat_text(kDirections[static_cast<size_t>(s.direction)], " n=", s.batch, " c=", s.in_channels,
                       " h=", s.height, " w=", s.width, " o=", s.out_channels, " k=", s.kernel_height, 'x',
                       s.kernel_width, " s=", a.stride[0], 'x', a.stride[1], " p=", a.padding.top, ',',
                       a.padding.left, ',', a.padding.bottom, ',', a.padding.right, " d=", a.dilation[0], 'x',
                       a.dilation[1], " g=", a.groups, s.type == DType::bf16 ? " bf16" : "");
}

// Whether `text` is what text_of writes: it is read and written again.
bool is_shape(const std::string& text) {
    std::array<char, 32> direction{};
    ConvShape s;
    Conv2dAttrs& a = s.attrs;
    using Wide = long long;  // what scanf's %lld wants
    std::array<Wide, 16> n{};
    const int read = std::sscanf(text.c_str(),
                                 "%31s n=%lld c=%lld h=%lld w=%lld o=%lld k=%lldx%lld s=%lldx%lld "
                                 "p=%lld,%lld,%lld,%lld d=%lldx%lld g=%lld",
                                 direction.data(), &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7],
                                 &n[8], &n[9], &n[10], &n[11], &n[12], &n[13], &n[14], &n[15]);
    const auto* const known =
        std::find(kDirections.begin(), kDirections.end(), std::string_view(direction.data()));
    if (read != 17 || known == kDirections.end()) {
        return false;
    }
    s.direction = static_cast<ConvDirection>(known - kDirections.begin());
    s.batch = n[0];
    s.in_channels = n[1];
    s.height = n[2];
    s.width = n[3];
    s.out_channels = n[4];
    s.kernel_height = n[5];
    s.kernel_width = n[6];
    a.stride = {n[7], n[8]};
    a.padding = Padding(n[9], n[10], n[11], n[12]);
    a.dilation = {n[13], n[14]};
    a.groups = n[15];
    s.type = text.ends_with(" bf16") ? DType::bf16 : DType::f32;
    return text_of(s) == text;
}

}  // namespace

// Measured over the layers of ResNet-50 and VGG-16: the weights' gradient is faster on blocked activations
// where there is enough work for each activation to pay for reordering it; in bfloat16 it is never.
ConvChoice fixed_rule(const ConvShape& s) {
    if (s.direction != ConvDirection::backward_weights || s.attrs.groups != 1 || s.type == DType::bf16) {
        return ConvChoice::nhwc;
    }
    const bool strided_3x3 =
        s.kernel_height == 3 && s.kernel_width == 3 && s.attrs.stride[0] == 2 && s.in_channels >= 128;
    const int64_t weights = s.in_channels * s.out_channels * s.kernel_height * s.kernel_width;
    return strided_3x3 || weights >= (int64_t{1} << 19) ? ConvChoice::any_layout : ConvChoice::nhwc;
}

std::optional<ConvChoice> recorded_choice(const ConvShape& shape) {
    Record& record = the_record();
    const std::lock_guard lock(record.mutex);
    if (record.choices.empty()) {
        return std::nullopt;
    }
    const auto found = record.choices.find(text_of(shape));
    return found == record.choices.end() ? std::nullopt : std::optional(found->second);
}

void record_choice(const ConvShape& shape, ConvChoice choice) {
    Record& record = the_record();
    const std::lock_guard lock(record.mutex);
    record.choices[text_of(shape)] = choice;
}

bool tuning_enabled() { return the_record().enabled; }

uint64_t tuning_generation() { return the_record().generation; }

}  // namespace cpu

void ConvTuning::enable(bool on) {
    cpu::the_record().enabled = on;
    ++cpu::the_record().generation;
}

std::string ConvTuning::record() {
    cpu::Record& record = cpu::the_record();
    const std::lock_guard lock(record.mutex);
    std::ostringstream out;
    for (const auto& [shape, choice] : record.choices) {
        out << shape << " : " << cpu::kChoices[static_cast<size_t>(choice)] << '\n';
    }
    return out.str();
}

void ConvTuning::restore(const std::string& record) {
    std::map<std::string, cpu::ConvChoice> choices;
    std::istringstream in(record);
    for (std::string line; std::getline(in, line);) {
        if (line.empty()) {
            continue;
        }
        const size_t colon = line.find(" : ");
        const std::string shape = line.substr(0, colon);
        const std::string name = colon == std::string::npos ? "" : line.substr(colon + 3);
        const auto* const choice = std::find(cpu::kChoices.begin(), cpu::kChoices.end(), name);
        BACKLIGHT_CHECK(
            choice != cpu::kChoices.end() && cpu::is_shape(shape),
            "convolution record: expected `forward n=8 c=64 h=56 w=56 o=64 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 "
            ": nhwc`, got `",
            line, "`");
        choices[shape] = static_cast<cpu::ConvChoice>(choice - cpu::kChoices.begin());
    }
    cpu::Record& current = cpu::the_record();
    const std::lock_guard lock(current.mutex);
    current.choices = std::move(choices);
    ++current.generation;
}

}  // namespace backlight
