// The small value types that everything is described with: element type, device, shape.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "core/bfloat16.h"

namespace backlight {

enum class DType : uint8_t { f32, f64, i64, u8, bf16 };

[[nodiscard]] size_t size_of(DType dtype);
[[nodiscard]] std::string_view name_of(DType dtype);
[[nodiscard]] constexpr bool is_floating(DType dtype) {
    return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16;
}
/// The type that sums of `dtype`, and what stands beside such values (weights, statistics), are kept in.
[[nodiscard]] constexpr DType wide_type(DType dtype) { return dtype == DType::bf16 ? DType::f32 : dtype; }

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
    static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<double> {
    static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<int64_t> {
    static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<uint8_t> {
    static constexpr DType value = DType::u8;
};

template <>
struct DTypeOf<BFloat16> {
    static constexpr DType value = DType::bf16;
};

/// Where a tensor's elements lie. Each kind has one Backend that owns its memory and its kernels.
struct Device {
    enum class Kind : uint8_t { cpu, cuda };
    Kind kind = Kind::cpu;
    uint8_t index = 0;
    bool operator==(const Device&) const = default;
};
[[nodiscard]] std::string name_of(Device device);

/// Extents of a tensor, outermost first; rank 0 is a scalar. At most kMaxRank extents, each >= 0.
inline constexpr int kMaxRank = 6;

class Shape {
public:
    Shape() = default;
    Shape(std::initializer_list<int64_t> extents);
    explicit Shape(std::span<const int64_t> extents);

    [[nodiscard]] int rank() const { return rank_; }
    /// Extent of an axis; negative axes count from the end. Throws Error when out of range.
    [[nodiscard]] int64_t operator[](int axis) const;
    [[nodiscard]] int64_t numel() const;
    [[nodiscard]] std::span<const int64_t> extents() const {
        return {extents_.data(), static_cast<size_t>(rank_)};
    }
    [[nodiscard]] const int64_t* begin() const { return extents_.data(); }
    [[nodiscard]] const int64_t* end() const { return extents_.data() + rank_; }
    void push_back(int64_t extent);
    /// The same shape with one extent replaced.
    [[nodiscard]] Shape with(int axis, int64_t extent) const;
    /// Maps a possibly negative axis to 0..rank-1. Throws Error when out of range.
    [[nodiscard]] int axis(int axis) const;

    bool operator==(const Shape& other) const;

private:
    std::array<int64_t, kMaxRank> extents_{};
    int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

/// The shape that two shapes broadcast to (numpy's rule: aligned at the last axis, 1 stretches).
/// Throws Error when they do not fit; `who` names the caller.
[[nodiscard]] Shape broadcast_shapes(const Shape& a, const Shape& b, std::string_view who);

}  // namespace backlight
