// Backlight's side of tests/oracle/weight_gradients.py: gradients of a loss on relevance with respect to
// weights, one line each: CASE PARAMETER values... in the layout of the parameter.
#include <cstdio>
#include <string>

#include "autograd/functions.h"
#include "explain/explainer.h"
#include "tests/explain/golden_network.h"

using namespace backlight;

namespace {

void print(const std::string& text, const Tensor& values) {
    std::printf("%s", text.c_str());
    for (const double value : values.to_vector<double>()) {
        std::printf(" %.17g", value);
    }
    std::printf("\n");
}

void print_gradients(const std::string& name, const Variable& loss, const Module& net,
                     const std::vector<std::string>& parameters) {
    print(name + " loss", loss.data());
    for (const std::string& parameter : parameters) {
        print(name + " " + parameter,
              grad(loss, {}, {golden::parameter(net, parameter)}, {.retain_graph = true})[0].data());
    }
}

Variable half_square(const Variable& r) { return sum(square(r)) * 0.5; }

/// R starts as the outputs themselves.
void linear_layer(const Composite& composite) {
    Sequential net;
    net.add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 2}));
    net.to(DType::f64);
    Tensor weight = golden::parameter(net, "0.weight").data();
    Tensor bias = golden::parameter(net, "0.bias").data();
    weight.copy_from(Tensor::from(std::vector<double>{1, -1, 2, -0.5, 0.5, 1}, {2, 3}));
    bias.copy_from(Tensor::from(std::vector<double>{0.5, -1}, {2}));
    const ExplainedForward forward(net, Tensor::from(std::vector<double>{1, -2, 0.5}, {1, 3}));
    LrpRules rules(composite);
    const Variable r = grad(forward.logits(), forward.logits(), {forward.input()},
                            {.create_graph = true, .rules = &rules})[0];
    print_gradients("linear:" + composite.name, half_square(r), net, {"0.weight"});
}

void network(const std::string& method) {
    const auto net = golden::network();
    const ExplainedForward forward(*net, golden::image());
    const Variable r = build_method(method)->explain(forward, {.targets = {0}}, true).maps[0];
    print_gradients("network:" + method, half_square(r), *net,
                    {"0.weight", "4.weight", "9.weight", "1.weight"});
}

}  // namespace

int main() {
    linear_layer(composites::epsilon());
    linear_layer(composites::z_plus());
    network("epsilon");
    network("epsilon_plus");
}
