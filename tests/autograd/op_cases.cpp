#include "tests/autograd/op_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/random.h"

namespace backlight::test {
namespace {

std::vector<double> draw(const Draw& input, RandomStream& random) {
    const int64_t count = input.shape.numel();
    std::vector<double> values(static_cast<size_t>(count));
    if (input.lattice > 0) {
        const std::vector<int64_t> order = random.permutation(count);
        for (size_t i = 0; i < values.size(); ++i) {
            const double centred = static_cast<double>(order[i]) - static_cast<double>(count / 2);
            values[i] = input.lattice * (centred + input.phase + random.uniform(-0.1, 0.1));
        }
        return values;
    }
    for (double& value : values) {
        do {
            value = random.uniform(input.low, input.high);
        } while (std::any_of(input.kinks.begin(), input.kinks.end(),
                             [&](double kink) { return std::abs(value - kink) < input.margin; }));
    }
    return values;
}

}  // namespace

const std::vector<OpCase>& op_cases() {
    static const std::vector<OpCase> cases = [] {
        std::vector<OpCase> all;
        add_elementwise_cases(all);
        add_shape_cases(all);
        add_convolution_cases(all);
        add_image_cases(all);
        add_row_cases(all);
        return all;
    }();
    return cases;
}

Variables draw_inputs(const OpCase& op_case, DType dtype, uint64_t seed) {
    Variables inputs;
    for (const Draw& input : op_case.inputs) {
        RandomStream random(RandomKey{.seed = seed, .step = inputs.size()});
        inputs.push_back(Variable::leaf(Tensor::from(draw(input, random), input.shape).to(dtype)));
    }
    return inputs;
}

uint64_t test_seed() {
    const char* text = std::getenv("BACKLIGHT_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

Tensor constant_like(const Variable& like, const std::vector<double>& values, const Shape& shape) {
    return Tensor::from(values, shape).to(like.dtype());
}

}  // namespace backlight::test
