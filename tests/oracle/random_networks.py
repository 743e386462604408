"""torchvision's networks with random weights whose activations stay of order one, for tests/oracle/compare.py.

Residual blocks have a ReLU module behind each convolution and a module for their sum, so that hooks of other libraries
reach every op; names of parameters and the function are torchvision's.
"""
import copy

import torch
import torchvision
from torch import nn
from torchvision.models import resnet
from zennit.layer import Sum

CLASSES = 10
LOW, HIGH = (-1.5, -1.6, -1.7), (1.25, 1.35, 1.45)  # the box that inputs lie in, by channel


def block_forward(block, x):
    y = x
    convolutions = 3 if hasattr(block, "conv3") else 2
    for i in range(1, convolutions + 1):
        y = getattr(block, f"bn{i}")(getattr(block, f"conv{i}")(y))
        if i < convolutions:
            y = getattr(block, f"relu{i}")(y)
    shortcut = x if block.downsample is None else block.downsample(x)
    return block.last_relu(block.join(torch.stack([shortcut, y], dim=-1)))


def add_modules(block):
    block.relu1, block.relu2, block.last_relu, block.join = nn.ReLU(), nn.ReLU(), nn.ReLU(), Sum()


class BasicBlock(resnet.BasicBlock):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        add_modules(self)

    forward = block_forward


class Bottleneck(resnet.Bottleneck):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        add_modules(self)

    forward = block_forward


def build(name):
    if name == "resnet18(small=true)":  # without the pool of the stem
        net = resnet.ResNet(BasicBlock, [2, 2, 2, 2], num_classes=CLASSES)
        net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    elif name == "resnet18":
        net = resnet.ResNet(BasicBlock, [2, 2, 2, 2], num_classes=CLASSES)
    elif name == "resnet50":
        net = resnet.ResNet(Bottleneck, [3, 4, 6, 3], num_classes=CLASSES)
    else:
        net = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net.double()


def random_input(count, side):
    """(N,3,H,W) within the box, exact in f32."""
    low, high = (torch.tensor(bound).view(1, 3, 1, 1) for bound in (LOW, HIGH))
    x = low + (high - low) * torch.rand(count, 3, side, side, dtype=torch.float64)
    return x.float().double().clamp(low.float().double(), high.float().double())


def random_network(name):
    """He's initialisation; batch norm's statistics are those of random inputs, changed by a random third. All values are
    exact in f32, and the computation is in f64."""
    net = build(name)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            module.momentum = None  # the statistics of the one batch below
    with torch.no_grad():
        net.train()(random_input(8, 64))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.2 * module.running_var.sqrt() * torch.randn_like(module.running_mean)
                module.running_var *= torch.empty_like(module.running_var).uniform_(0.67, 1.5)
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.float().double())
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval()


def with_merged_norms(net):
    """A copy whose batch norms are part of the convolutions before them, by PyTorch's own function; it shares what is not
    changed."""
    merged = copy.deepcopy(net, {id(p): p for p in net.parameters()})
    for parent in list(merged.modules()):
        previous = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                convolution = nn.utils.fusion.fuse_conv_bn_eval(parent.get_submodule(previous), child)
                setattr(parent, previous, convolution.requires_grad_(False))
                setattr(parent, name, nn.Identity())
            previous = name
    return merged


def spread(net, x):
    """Smallest and largest standard deviation of what the network's convolutions, linear layers and norms put out."""
    found = []
    hooks = [module.register_forward_hook(lambda _, __, y: found.append(y.std().item())) for module in net.modules()
             if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return min(found), max(found)
