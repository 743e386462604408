"""The peer of bench_networks: steps of a torchvision network in PyTorch, for bench/networks.py.

    torch_networks.py MODEL train|infer BATCH SIDE STEPS f32|bf16 FORM

FORM is eager, channels_last, compile or compile_channels_last, and for inference also frozen or frozen_channels_last:
torch.jit.trace, freeze and optimize_for_inference, which folds batch norms. bf16 is autocast. `small_resnet18` is the CIFAR
form: 3x3 stem, no max pooling, 10 classes.
"""
import json
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


def peak_megabytes() -> float:
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("no VmHWM in /proc/self/status")


def main() -> None:
    name, mode, batch, side, steps, precision, form = sys.argv[1:8]
    torch.set_num_threads(2)
    net = build(name).train(mode == "train")
    x = torch.randn(int(batch), 3, int(side), int(side))
    y = torch.arange(int(batch)) % 10
    if form.endswith("channels_last"):
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    lower = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    run = net
    if form.startswith("compile"):
        run = torch.compile(net)
    elif form.startswith("frozen"):
        with torch.no_grad(), lower:
            run = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    loss_function = torch.nn.CrossEntropyLoss()

    def step() -> None:
        if mode == "train":
            with lower:
                loss = loss_function(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            with torch.inference_mode(), lower:
                run(x)

    times = []
    for _ in range(int(steps)):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"ms": statistics.median(times[len(times) // 4:]), "first_ms": times[0],
                      "peak_mb": peak_megabytes()}))


main()
