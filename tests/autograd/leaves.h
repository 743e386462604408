// Small f64 variables for tests.
#pragma once

#include <initializer_list>
#include <vector>

#include "autograd/variable.h"

namespace backlight::test {

[[nodiscard]] inline Variable leaf(std::initializer_list<double> values, const Shape& shape) {
    return Variable::leaf(Tensor::from<double>(values, shape));
}
[[nodiscard]] inline Variable leaf(std::initializer_list<double> values) {
    return leaf(values, {static_cast<int64_t>(values.size())});
}
[[nodiscard]] inline Variable scalar(double value) {
    return Variable::leaf(Tensor::scalar(value, DType::f64));
}

using Values = std::vector<double>;
[[nodiscard]] inline Values values(const Tensor& t) { return t.to_vector<double>(); }
[[nodiscard]] inline Values values(const Variable& v) { return values(v.data()); }

}  // namespace backlight::test
