"""The peer of `backlight train --augment`: the same steps in PyTorch, for bench/augmentations.py.

    torch_augmentations.py MODEL plain|rrr|edda BATCH STEPS eager|channels_last

rrr: cross-entropy plus 0.01 mean || d/dx sum log p ||², by double backward. edda: Grad-CAM of the label at the last
convolutional block by Captum, in evaluation mode; pictures without what it marks replace those that are still right.
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


def main() -> None:
    name, kind, batch, steps, form = sys.argv[1:6]
    torch.set_num_threads(2)
    net = getattr(torchvision.models, name)(weights=None, num_classes=10)
    x = torch.randn(int(batch), 3, 224, 224)
    y = torch.arange(int(batch)) % 10
    if form == "channels_last":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
    cross_entropy = torch.nn.CrossEntropyLoss()

    def rrr_loss() -> torch.Tensor:
        inputs = x.clone().requires_grad_()
        logits = net(inputs)
        log_p = logits.log_softmax(1)
        r, = torch.autograd.grad(log_p.sum(), inputs, create_graph=True)
        return cross_entropy(logits, y) + 0.01 * (r * r).flatten(1).sum(1).mean()

    def edda_batch() -> torch.Tensor:
        from captum.attr import LayerAttribution, LayerGradCam
        net.eval()
        layer = net.layer4 if hasattr(net, "layer4") else net.features[-2]
        maps = LayerGradCam(net, layer).attribute(x, target=y, relu_attributions=True).detach()
        maps = LayerAttribution.interpolate(maps, x.shape[2:], "bilinear")
        low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
        keep = ((maps - low) / (high - low).clamp_min(1e-12) <= 0.5).float()
        masked = x * keep
        with torch.no_grad():
            right = net(masked).argmax(1) == y
        net.train()
        return torch.where(right[:, None, None, None], masked, x)

    def step() -> None:
        net.train()
        if kind == "rrr":
            loss = rrr_loss()
        else:
            loss = cross_entropy(net(edda_batch() if kind == "edda" else x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    times = []
    for _ in range(2 * int(steps)):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"ms": statistics.median(times[len(times) // 2:]), "peak_mb": peak_megabytes()}))


main()
