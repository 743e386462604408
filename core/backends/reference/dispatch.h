// From run-time element types and operation codes to templates: each dispatcher calls `body` with a value of
// the element type, or with the functor, that the code stands for.
//   dispatch_floating("softmax", x.dtype(), [&](auto zero) { using T = decltype(zero); ... });
#pragma once

#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>

#include "core/backend.h"
#include "core/backends/functors.h"
#include "core/error.h"

namespace backlight {

/// The type that sums of T are accumulated in.
template <typename T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

[[noreturn]] inline void throw_no_kernel(std::string_view kernel, DType dtype, std::string_view who_has_one) {
    throw_error(concat_text(kernel, ": no kernel for ", dtype, "; ", who_has_one, " have one"));
}

// clang-format off
template <typename Body>
void dispatch_floating(std::string_view kernel, DType dtype, Body&& body) {
    switch (dtype) {
        case DType::f32: return body(float{});
        case DType::f64: return body(double{});
        default: throw_no_kernel(kernel, dtype, "float32 and float64");
    }
}

/// The types that arithmetic is done in.
template <typename Body>
void dispatch_numeric(std::string_view kernel, DType dtype, Body&& body) {
    switch (dtype) {
        case DType::f32: return body(float{});
        case DType::f64: return body(double{});
        case DType::i64: return body(int64_t{});
        default: throw_no_kernel(kernel, dtype, "float32, float64 and int64");
    }
}

template <typename Body>
void dispatch_any(DType dtype, Body&& body) {
    switch (dtype) {
        case DType::f32: return body(float{});
        case DType::f64: return body(double{});
        case DType::i64: return body(int64_t{});
        case DType::u8: return body(uint8_t{});
        case DType::bf16: return body(BFloat16{});
    }
}
// clang-format on

/// Conversion of an element: to floating rounds to nearest, to an integer truncates; what lies outside of the
/// integer's range becomes its nearest end, NaN becomes 0.
template <typename To, typename From>
To convert(From value) {
    using Limits = std::numeric_limits<To>;
    if constexpr (std::is_same_v<To, From>) {
        return value;
    } else if constexpr (std::is_same_v<From, BFloat16>) {
        return convert<To>(static_cast<float>(value));
    } else if constexpr (std::is_same_v<To, BFloat16>) {
        return BFloat16(convert<float>(value));
    } else if constexpr (std::is_floating_point_v<To>) {
        return static_cast<To>(value);
    } else if constexpr (std::is_floating_point_v<From>) {
        // `max + 1` is a power of two and hence exact, which `max` of int64 is not.
        constexpr From kEnd = static_cast<From>(Limits::max() / 2 + 1) * From{2};
        if (value != value) {
            return To{0};
        }
        return value >= kEnd                                 ? Limits::max()
               : value < static_cast<From>(Limits::lowest()) ? Limits::lowest()
                                                             : static_cast<To>(value);
    } else {
        const auto wide = static_cast<int64_t>(value);
        return wide > static_cast<int64_t>(Limits::max())      ? Limits::max()
               : wide < static_cast<int64_t>(Limits::lowest()) ? Limits::lowest()
                                                               : static_cast<To>(wide);
    }
}

// clang-format off
/// Calls body(functor) for the elementwise function of floating numbers.
template <typename Body>
void dispatch_unary(UnaryOp op, Body&& body) {
    switch (op) {
        case UnaryOp::identity: return body(functors::Identity{});
        case UnaryOp::negative: return body(functors::Negative{});
        case UnaryOp::absolute: return body(functors::Absolute{});
        case UnaryOp::sign: return body(functors::Sign{});
        case UnaryOp::exp: return body(functors::Exp{});
        case UnaryOp::log: return body(functors::Log{});
        case UnaryOp::sqrt: return body(functors::Sqrt{});
        case UnaryOp::square: return body(functors::Square{});
        case UnaryOp::reciprocal: return body(functors::Reciprocal{});
        case UnaryOp::sin: return body(functors::Sin{});
        case UnaryOp::cos: return body(functors::Cos{});
        case UnaryOp::tanh: return body(functors::Tanh{});
        case UnaryOp::sigmoid: return body(functors::Sigmoid{});
        case UnaryOp::erf: return body(functors::Erf{});
        case UnaryOp::gelu: return body(functors::Gelu{});
        case UnaryOp::silu: return body(functors::Silu{});
        case UnaryOp::relu: return body(functors::Relu{});
        case UnaryOp::relu6: return body(functors::Relu6{});
        case UnaryOp::negative_part: return body(functors::NegativePart{});
        case UnaryOp::stabilizer_sign: return body(functors::StabilizerSign{});
        case UnaryOp::is_positive: return body(functors::IsPositive{});
        case UnaryOp::is_negative: return body(functors::IsNegative{});
        case UnaryOp::is_zero: return body(functors::IsZero{});
        case UnaryOp::is_finite: return body(functors::IsFinite{});
        case UnaryOp::add_scalar: return body(functors::AddScalar{});
        case UnaryOp::multiply_scalar: return body(functors::MultiplyScalar{});
        case UnaryOp::power_scalar: return body(functors::PowerScalar{});
        case UnaryOp::leaky_relu: return body(functors::LeakyRelu{});
        case UnaryOp::elu: return body(functors::Elu{});
        case UnaryOp::softplus: return body(functors::Softplus{});
        case UnaryOp::stabilize: return body(functors::Stabilize{});
        case UnaryOp::stabilize_clip: return body(functors::StabilizeClip{});
        case UnaryOp::clamp_min: return body(functors::ClampMin{});
        case UnaryOp::clamp_max: return body(functors::ClampMax{});
        case UnaryOp::floor: return body(functors::Floor{});
    }
}

/// The same for those that stay within the integers.
template <typename Body>
void dispatch_integer_unary(UnaryOp op, Body&& body) {
    switch (op) {
        case UnaryOp::identity:
        case UnaryOp::floor: return body(functors::Identity{});
        case UnaryOp::negative: return body(functors::Negative{});
        case UnaryOp::absolute: return body(functors::Absolute{});
        case UnaryOp::sign: return body(functors::Sign{});
        case UnaryOp::square: return body(functors::Square{});
        case UnaryOp::relu: return body(functors::Relu{});
        case UnaryOp::relu6: return body(functors::Relu6{});
        case UnaryOp::negative_part: return body(functors::NegativePart{});
        case UnaryOp::stabilizer_sign: return body(functors::StabilizerSign{});
        case UnaryOp::is_positive: return body(functors::IsPositive{});
        case UnaryOp::is_negative: return body(functors::IsNegative{});
        case UnaryOp::is_zero: return body(functors::IsZero{});
        case UnaryOp::add_scalar: return body(functors::AddScalar{});
        case UnaryOp::multiply_scalar: return body(functors::MultiplyScalar{});
        case UnaryOp::clamp_min: return body(functors::ClampMin{});
        case UnaryOp::clamp_max: return body(functors::ClampMax{});
        default: throw_error("unary: this function has no kernel for int64; convert to a floating type");
    }
}

template <typename Body>
void dispatch_binary(BinaryOp op, Body&& body) {
    switch (op) {
        case BinaryOp::add: return body(functors::Add{});
        case BinaryOp::subtract: return body(functors::Subtract{});
        case BinaryOp::multiply: return body(functors::Multiply{});
        case BinaryOp::divide: return body(functors::Divide{});
        case BinaryOp::power: return body(functors::Power{});
        case BinaryOp::maximum: return body(functors::Maximum{});
        case BinaryOp::minimum: return body(functors::Minimum{});
        case BinaryOp::greater: return body(functors::Greater{});
        case BinaryOp::greater_equal: return body(functors::GreaterEqual{});
        case BinaryOp::less: return body(functors::Less{});
        case BinaryOp::less_equal: return body(functors::LessEqual{});
        case BinaryOp::equal: return body(functors::Equal{});
        case BinaryOp::divide_or_zero: return body(functors::DivideOrZero{});
        case BinaryOp::where_positive: return body(functors::WherePositive{});
    }
}

/// Integers do not divide here: the machine would stop at a zero.
template <typename Body>
void dispatch_integer_binary(BinaryOp op, Body&& body) {
    switch (op) {
        case BinaryOp::add: return body(functors::Add{});
        case BinaryOp::subtract: return body(functors::Subtract{});
        case BinaryOp::multiply: return body(functors::Multiply{});
        case BinaryOp::maximum: return body(functors::Maximum{});
        case BinaryOp::minimum: return body(functors::Minimum{});
        case BinaryOp::greater: return body(functors::Greater{});
        case BinaryOp::greater_equal: return body(functors::GreaterEqual{});
        case BinaryOp::less: return body(functors::Less{});
        case BinaryOp::less_equal: return body(functors::LessEqual{});
        case BinaryOp::equal: return body(functors::Equal{});
        case BinaryOp::where_positive: return body(functors::WherePositive{});
        default: throw_error("binary: this function has no kernel for int64; convert to a floating type");
    }
}
// clang-format on

}  // namespace backlight
