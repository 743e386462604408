"""The peer of bench_explanations: explanations of a torchvision network in PyTorch, for bench/explanations.py.

    torch_explanations.py MODEL METHOD BATCH SIDE STEPS LIBRARY

LIBRARY is zennit or captum; both are measured with channels-last weights and inputs where that is faster: the form is
LIBRARY or LIBRARY_channels_last. Zennit's attributor runs its forward and backward pass, as a user would call it.
"""
import json
import statistics
import sys
import time

import torch
import torchvision


def peak_megabytes() -> float:
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("no VmHWM in /proc/self/status")


def zennit_explainer(net, name: str, method: str):
    from zennit import composites, torchvision as canonizers
    from zennit.attribution import Gradient

    canonizer = [canonizers.ResNetCanonizer()] if name.startswith("resnet") else [canonizers.VGGCanonizer()]
    box = {"low": torch.full((1, 3, 1, 1), -2.5), "high": torch.full((1, 3, 1, 1), 2.5)}
    if method == "gradient":
        return Gradient(model=net)
    if method == "epsilon":
        from zennit.rules import Epsilon, Norm, Pass
        from zennit.types import Activation, AvgPool, Linear, Convolution
        layers = [(Activation, Pass()), (AvgPool, Norm()), (Convolution, Epsilon(1e-6)), (Linear, Epsilon(1e-6))]
        from zennit.layer import Sum
        composite = composites.LayerMapComposite(layer_map=[(Sum, Norm()), *layers], canonizers=canonizer)
    else:
        composite = {
            "epsilon_plus": lambda: composites.EpsilonPlus(canonizers=canonizer),
            "epsilon_alpha2_beta1": lambda: composites.EpsilonAlpha2Beta1(canonizers=canonizer),
            "epsilon_gamma_box": lambda: composites.EpsilonGammaBox(canonizers=canonizer, **box),
            "guided_backprop": lambda: composites.GuidedBackprop(canonizers=canonizer),
            "deconvnet": lambda: composites.DeconvNet(canonizers=canonizer),
        }[method]()
    return Gradient(model=net, composite=composite)


def captum_explainer(net, method: str):
    from captum import attr

    kinds = {"gradient": attr.Saliency, "guided_backprop": attr.GuidedBackprop, "deconvnet": attr.Deconvolution}
    explainer = kinds[method](net)
    arguments = {"abs": False} if method == "gradient" else {}
    return lambda x, y: explainer.attribute(x, target=y, **arguments)


def main() -> None:
    name, method, batch, side, steps, form = sys.argv[1:7]
    torch.set_num_threads(2)
    net = getattr(torchvision.models, name)(weights=None).eval()
    for parameter in net.parameters():  # nobody asks for their gradients
        parameter.requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    x = torch.randn(int(batch), 3, int(side), int(side))
    if form.endswith("channels_last"):
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    y = torch.arange(int(batch)) % 10
    if form.startswith("captum"):
        explain = captum_explainer(net, method)
        run = lambda: explain(x.clone().requires_grad_(), y)
    else:
        attributor = zennit_explainer(net, name, method)
        one_hot = torch.eye(1000)[y]
        attributor.__enter__()  # hooks and canonisation once, as for many batches
        run = lambda: attributor(x, one_hot)
    times = []
    for _ in range(int(steps)):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"ms": statistics.median(times[len(times) // 4:]), "first_ms": times[0],
                      "peak_mb": peak_megabytes()}))


main()
