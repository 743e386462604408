// d/dx sum(x^2) = 2x, through the installed package.
#include <cstdio>

#include "autograd/functions.h"
#include "autograd/grad.h"

int main() {
    using namespace backlight;
    const auto x = Variable::leaf(Tensor::from({1.0F, -2.0F, 3.0F}, {3}));
    const auto d_x = grad(sum(square(x)), {}, {x})[0].data().to_vector<float>();
    std::printf("gradient: %g %g %g\n", d_x[0], d_x[1], d_x[2]);
    return d_x == std::vector<float>{2.0F, -4.0F, 6.0F} ? 0 : 1;
}
