#include "core/io/stored_type.h"

#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>
#include <vector>

namespace backlight {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the file formats are read and written without byte swaps");

template <typename Stored, typename Ours, typename Convert>
Tensor convert(std::span<const uint8_t> bytes, const Shape& shape, Convert&& function) {
    std::vector<Ours> values(bytes.size() / sizeof(Stored));
    for (size_t i = 0; i < values.size(); ++i) {
        Stored stored;
        std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
        values[i] = function(stored);
    }
    return Tensor::from(values, shape);
}

template <typename Stored>
Tensor widen_integers(std::span<const uint8_t> bytes, const Shape& shape) {
    return convert<Stored, int64_t>(bytes, shape, [](Stored value) { return static_cast<int64_t>(value); });
}

}  // namespace

size_t size_of(StoredType type) {
    switch (type) {
        case StoredType::boolean:
        case StoredType::u8:
        case StoredType::i8:
            return 1;
        case StoredType::i16:
        case StoredType::u16:
        case StoredType::f16:
        case StoredType::bf16:
            return 2;
        case StoredType::i32:
        case StoredType::u32:
        case StoredType::f32:
            return 4;
        case StoredType::i64:
        case StoredType::f64:
            return 8;
    }
    return 0;
}

DType dtype_for(StoredType type) {
    switch (type) {
        case StoredType::boolean:
        case StoredType::u8:
            return DType::u8;
        case StoredType::i8:
        case StoredType::i16:
        case StoredType::u16:
        case StoredType::i32:
        case StoredType::u32:
        case StoredType::i64:
            return DType::i64;
        case StoredType::f16:
        case StoredType::bf16:
        case StoredType::f32:
            return DType::f32;
        case StoredType::f64:
            return DType::f64;
    }
    return DType::f32;
}

std::optional<int64_t> stored_bytes(std::span<const int64_t> extents, StoredType type) {
    auto bytes = static_cast<int64_t>(size_of(type));
    bool empty = false;
    for (const int64_t extent : extents) {
        if (extent == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(bytes, extent, &bytes)) {
            return std::nullopt;
        }
    }
    // Widening takes at most eight times the room; that has to be countable too.
    int64_t widened = 0;
    if (__builtin_mul_overflow(bytes, int64_t{8}, &widened)) {
        return std::nullopt;
    }
    return empty ? 0 : bytes;
}

Tensor tensor_from_stored(StoredType type, std::span<const uint8_t> bytes, const Shape& shape) {
    assert(bytes.size() == static_cast<size_t>(shape.numel()) * size_of(type));
    switch (type) {
        case StoredType::boolean:
            return convert<uint8_t, uint8_t>(bytes, shape, [](uint8_t value) { return uint8_t{value != 0}; });
        case StoredType::i8:
            return widen_integers<int8_t>(bytes, shape);
        case StoredType::i16:
            return widen_integers<int16_t>(bytes, shape);
        case StoredType::u16:
            return widen_integers<uint16_t>(bytes, shape);
        case StoredType::i32:
            return widen_integers<int32_t>(bytes, shape);
        case StoredType::u32:
            return widen_integers<uint32_t>(bytes, shape);
        case StoredType::f16:
            return convert<uint16_t, float>(bytes, shape, float_from_half);
        case StoredType::bf16:
            return convert<uint16_t, float>(bytes, shape, float_from_bfloat16);
        case StoredType::u8:
        case StoredType::i64:
        case StoredType::f32:
        case StoredType::f64:
            break;
    }
    return Tensor::from_bytes(bytes.data(), shape, dtype_for(type));
}

// A binary32 exponent counts from 127, a binary16 one from 15. Fractions move up by 23 - 10 = 13 bits.
//   exponent 1..30: the same number, exponent + 112;   31: infinity or NaN, payload kept;
//   0: fraction * 2^-24, exact in binary32.
float float_from_half(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1FU;
    const uint32_t fraction = bits & 0x3FFU;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24
        return sign != 0 ? -magnitude : magnitude;
    }
    const uint32_t wide_exponent = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign | (wide_exponent << 23) | (fraction << 13));
}

// bfloat16 is the upper half of a binary32.
float float_from_bfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

}  // namespace backlight
