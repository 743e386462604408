"""The peer of bench_networks: steps of a torchvision network in PyTorch, for bench/networks.py.

    torch_networks.py MODEL train|infer BATCH SIDE STEPS eager|channels_last|compile

`small_resnet18` is the CIFAR form: 3x3 stem, no max pooling, 10 classes.
"""
import json
import resource
import statistics
import sys
import time

import torch
import torchvision


def build(name: str) -> torch.nn.Module:
    if not name.startswith("small_"):
        return getattr(torchvision.models, name)(weights=None)
    net = getattr(torchvision.models, name.removeprefix("small_"))(weights=None, num_classes=10)
    net.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    net.maxpool = torch.nn.Identity()
    return net


def main() -> None:
    name, mode, batch, side, steps, form = sys.argv[1:7]
    torch.set_num_threads(2)
    net = build(name).train(mode == "train")
    x = torch.randn(int(batch), 3, int(side), int(side))
    y = torch.arange(int(batch)) % 10
    if form != "eager":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    run = torch.compile(net) if form == "compile" else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    loss_function = torch.nn.CrossEntropyLoss()

    def step() -> None:
        if mode == "train":
            loss = loss_function(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            with torch.inference_mode():
                run(x)

    times = []
    for _ in range(int(steps)):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"ms": statistics.median(times[len(times) // 4:]), "first_ms": times[0],
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}))


main()
