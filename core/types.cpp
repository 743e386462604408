#include "core/types.h"

#include <algorithm>

#include "core/error.h"

namespace backlight {

size_t size_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return 4;
        case DType::f64:
            return 8;
        case DType::i64:
            return 8;
        case DType::u8:
            return 1;
        case DType::bf16:
            return 2;
    }
    return 0;
}

std::string_view name_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return "float32";
        case DType::f64:
            return "float64";
        case DType::i64:
            return "int64";
        case DType::u8:
            return "uint8";
        case DType::bf16:
            return "bfloat16";
    }
    return "?";
}

std::string name_of(Device device) {
    return device.kind == Device::Kind::cpu ? std::string("cpu") : concat_text("cuda:", int{device.index});
}

Shape::Shape(std::initializer_list<int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const int64_t> extents) {
    for (const int64_t extent : extents) {
        push_back(extent);
    }
}

int Shape::axis(int axis) const {
    const int positive = axis < 0 ? axis + rank_ : axis;
    BACKLIGHT_CHECK(positive >= 0 && positive < rank_, "shape: axis ", axis, " is out of range for ", *this);
    return positive;
}

int64_t Shape::operator[](int axis) const { return extents_[static_cast<size_t>(this->axis(axis))]; }

int64_t Shape::numel() const {
    int64_t n = 1;
    for (const int64_t extent : *this) {
        n *= extent;
    }
    return n;
}

void Shape::push_back(int64_t extent) {
    BACKLIGHT_CHECK(rank_ < kMaxRank, "shape: expected at most ", kMaxRank, " axes");
    BACKLIGHT_CHECK(extent >= 0, "shape: expected extents >= 0, got ", extent);
    extents_[static_cast<size_t>(rank_++)] = extent;
}

Shape Shape::with(int axis, int64_t extent) const {
    Shape changed = *this;
    changed.extents_[static_cast<size_t>(this->axis(axis))] = extent;
    return changed;
}

bool Shape::operator==(const Shape& other) const { return std::ranges::equal(extents(), other.extents()); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    out << '(';
    for (int i = 0; i < shape.rank(); ++i) {
        out << (i == 0 ? "" : ", ") << shape.extents()[static_cast<size_t>(i)];
    }
    return out << (shape.rank() == 1 ? ",)" : ")");
}

Shape broadcast_shapes(const Shape& a, const Shape& b, std::string_view who) {
    const int rank = std::max(a.rank(), b.rank());
    Shape result;
    for (int i = 0; i < rank; ++i) {
        const int in_a = i - (rank - a.rank());
        const int in_b = i - (rank - b.rank());
        const int64_t extent_a = in_a < 0 ? 1 : a.extents()[static_cast<size_t>(in_a)];
        const int64_t extent_b = in_b < 0 ? 1 : b.extents()[static_cast<size_t>(in_b)];
        BACKLIGHT_CHECK(extent_a == extent_b || extent_a == 1 || extent_b == 1, who, ": shapes ", a, " and ",
                        b, " do not broadcast");
        result.push_back(extent_a == 1 ? extent_b : extent_a);
    }
    return result;
}

}  // namespace backlight
