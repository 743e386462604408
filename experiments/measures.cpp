#include "experiments/measures.h"

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "train/evaluation.h"

namespace backlight {

double share_of(const Tensor& relevance, const Tensor& mask) {
    const NoGrad off;
    Variable magnitude = abs(Variable(relevance));
    if (magnitude.shape().rank() == 4) {
        magnitude = sum(magnitude, {3});
    }
    BACKLIGHT_CHECK(magnitude.shape() == mask.shape(), "share_of: maps of ", magnitude.shape(),
                    " and masks of ", mask.shape());
    magnitude = flatten(magnitude);
    const Variable inside = sum(magnitude * flatten(Variable(mask)), {1});
    return mean(divide_or_zero(inside, sum(magnitude, {1}))).item();
}

Tensor fgsm(Module& net, const Tensor& inputs, const std::vector<int64_t>& labels, double eps) {
    net.eval();
    const Variable x = Variable::leaf(inputs);
    const Variable loss = cross_entropy_sum(net(x), Tensor::from(labels, {inputs.dim(0)}));
    const Variable g = grad(loss, {}, {x})[0].detach();
    const NoGrad off;
    const Variable sign =
        Variable(mask(UnaryOp::is_positive, g.data())) - Variable(mask(UnaryOp::is_negative, g.data()));
    return (Variable(inputs) + sign * eps).data();
}

double accuracy_of(Module& net, const Tensor& inputs, const std::vector<int64_t>& labels) {
    const auto predicted = argmax(predict(net, inputs), 1).to_vector<int64_t>();
    double right = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
        right += predicted[i] == labels[i] ? 1 : 0;
    }
    return right / static_cast<double>(labels.size());
}

}  // namespace backlight
