#include "explain/explainer.h"

#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {

ExplainedForward::ExplainedForward(Module& net, const Tensor& x) {
    BACKLIGHT_CHECK(sum(Variable(1.0 - Variable(mask(UnaryOp::is_finite, x)))).item() == 0,
                    "explain: the input holds values that are not finite");
    const EvaluationMode mode(net);
    const EnableGrad enabled;
    input_ = Variable::leaf(x);
    {
        Recording recording;
        logits_ = net(input_);
        layers_ = recording.layers();
    }
    while (logits_.requires_grad() && !logits_.node()->is_leaf()) {
        const std::string_view kind = logits_.node()->op->kind();
        if (kind != "softmax" && kind != "sigmoid" && kind != "log_softmax") {
            break;
        }
        stripped_ = kind;
        logits_ = logits_.node()->inputs[0];
    }
    BACKLIGHT_CHECK(logits_.rank() == 2, "explain: expected a network whose output is (N,K), got ",
                    logits_.shape());
}

std::vector<int64_t> ExplainedForward::predicted() const {
    return argmax(logits_.data(), 1).to_vector<int64_t>();
}

Tensor ExplainedForward::explain(Explainer& explainer, const ExplainRequest& request) const {
    const Tensor relevance = explainer.explain(layers_, input_, logits_, request, false).data();
    const Tensor finite = mask(UnaryOp::is_finite, relevance);
    BACKLIGHT_CHECK(
        static_cast<int64_t>(sum(Variable(finite).data().to(DType::f64)).item()) == relevance.numel(),
        explainer.name(), ": the relevance is not finite", request.layer.empty() ? "" : " at layer ",
        request.layer);
    return relevance;
}

}  // namespace backlight
