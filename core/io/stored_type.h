// Element types as files store them, and their conversion to ours: what is not one of ours becomes the
// nearest that holds every value.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "core/tensor.h"

namespace backlight {

enum class StoredType : uint8_t { boolean, u8, i8, i16, u16, i32, u32, i64, f16, bf16, f32, f64 };

[[nodiscard]] size_t size_of(StoredType type);

/// The type of the tensor that holds such elements: f16, bf16 -> f32; i8 to u32 -> i64; boolean -> u8 (0 or
/// 1).
[[nodiscard]] DType dtype_for(StoredType type);

/// The bytes that `extents` (each >= 0) elements take; nothing when an int64 cannot count them, or when
/// leaving out zero extents makes it so: (0, 2^62, 4) holds nothing but is no shape either.
[[nodiscard]] std::optional<int64_t> stored_bytes(std::span<const int64_t> extents, StoredType type);

/// A tensor on the host from little-endian elements. `bytes` has the size that the shape asks for.
[[nodiscard]] Tensor tensor_from_stored(StoredType type, std::span<const uint8_t> bytes, const Shape& shape);

/// IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits) and bfloat16 (1, 8, 7) widened exactly.
[[nodiscard]] float float_from_half(uint16_t bits);
[[nodiscard]] float float_from_bfloat16(uint16_t bits);

}  // namespace backlight
