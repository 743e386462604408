#!/usr/bin/env python3
"""Ops against PyTorch: prints tests/autograd/golden_values.h. Not part of the test run.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy torch
    /tmp/oracle/bin/python tests/oracle/ops.py > tests/autograd/golden_values.h

Inputs and weights of the sums are formulas of the element's index, so that nothing but the results has to be stored.
Images are (N, H, W, C) and convolution weights (O, Kh, Kw, I) here as there; they are permuted for PyTorch only. A case
is one line: the sum of y c over all elements, then for each input the sum of d_x c, d_x its gradient.
"""
import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def ramp(shape, k):
    """Element i of input k: ((37 i + 53 k) mod 101) / 50.5 - 1; different for the first 101 elements."""
    i = torch.arange(int(np.prod(shape)), dtype=torch.int64)
    return (((37 * i + 53 * k) % 101).double() / 50.5 - 1).reshape(shape)


def coefficients(count):
    i = torch.arange(count, dtype=torch.int64)
    return ((29 * i + 7) % 97).double() / 48.5 - 1


def image(x):
    return x.permute(0, 3, 1, 2)


def back(y):
    return y.permute(0, 2, 3, 1)


def conv(pad=(0, 0, 0, 0), **options):  # top, left, bottom, right
    top, left, bottom, right = pad
    return lambda x, w, b: back(F.conv2d(F.pad(image(x), (left, right, top, bottom)), image(w), b, **options))


def conv_transpose(**options):  # weight (I, Kh, Kw, O/groups) -> (I, O/groups, Kh, Kw)
    return lambda x, w, b: back(F.conv_transpose2d(image(x), image(w), b, **options))


def pooled(function, *args, **options):
    return lambda x: back(function(image(x), *args, **options))


LABELS = torch.tensor([2, 0, 2, 1])
CLASS_WEIGHT = torch.tensor([0.5, 2.0, 1.25])

CASES = [
    ("conv2d plain", [(2, 5, 4, 3), (4, 3, 2, 3), (4,)], conv()),
    ("conv2d stride padding", [(1, 6, 7, 2), (3, 3, 3, 2), (3,)], conv(pad=(1, 1, 1, 1), stride=2)),
    ("conv2d four sides", [(1, 4, 5, 2), (2, 3, 3, 2), (2,)], conv(pad=(0, 2, 1, 0), stride=(2, 1))),
    ("conv2d dilation groups", [(1, 7, 6, 4), (6, 3, 2, 2), (6,)], conv(pad=(2, 1, 2, 1), dilation=(2, 3), groups=2)),
    ("conv2d depthwise", [(2, 4, 4, 3), (6, 3, 3, 1), (6,)], conv(pad=(1, 1, 1, 1), groups=3)),
    ("conv_transpose2d plain", [(1, 3, 3, 2), (2, 3, 3, 3), (3,)], conv_transpose()),
    ("conv_transpose2d output padding", [(1, 3, 4, 2), (2, 3, 3, 2), (2,)],
     conv_transpose(stride=2, padding=1, output_padding=1)),
    ("conv_transpose2d unequal", [(1, 2, 3, 2), (2, 3, 2, 1), (1,)],
     conv_transpose(stride=(3, 2), padding=(1, 0), output_padding=(2, 1))),
    ("conv_transpose2d groups dilation", [(1, 3, 3, 4), (4, 2, 2, 3), (6,)],
     conv_transpose(stride=2, dilation=2, groups=2, output_padding=(1, 0))),
    ("linear", [(3, 5), (4, 5), (4,)], F.linear),
    ("matmul batch", [(2, 3, 4), (2, 4, 2)], torch.matmul),
    ("max_pool2d overlap", [(1, 5, 5, 2)], pooled(F.max_pool2d, 3, 2, 1)),
    ("max_pool2d ceil", [(1, 6, 5, 2)], pooled(F.max_pool2d, 2, 2, 0, ceil_mode=True)),
    ("max_pool2d ceil padding", [(1, 3, 6, 2)], pooled(F.max_pool2d, 2, 2, 1, ceil_mode=True)),
    ("avg_pool2d overlap", [(1, 5, 5, 2)], pooled(F.avg_pool2d, 3, 2, 1)),
    ("avg_pool2d overlap inside", [(1, 5, 5, 2)], pooled(F.avg_pool2d, 3, 2, 1, count_include_pad=False)),
    ("avg_pool2d ceil", [(1, 6, 5, 2)], pooled(F.avg_pool2d, 3, 2, 0, ceil_mode=True)),
    ("avg_pool2d ceil padding", [(1, 6, 6, 1)], pooled(F.avg_pool2d, 3, 2, 1, ceil_mode=True)),
    ("avg_pool2d ceil padding inside", [(1, 6, 6, 1)],
     pooled(F.avg_pool2d, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    ("adaptive_avg_pool2d not divisible", [(1, 5, 7, 2)], pooled(F.adaptive_avg_pool2d, (3, 2))),
    ("adaptive_avg_pool2d larger", [(1, 2, 3, 2)], pooled(F.adaptive_avg_pool2d, (5, 4))),
    ("resize bilinear up", [(1, 3, 2, 2)], pooled(F.interpolate, size=(7, 4), mode="bilinear", align_corners=False)),
    ("resize bilinear down", [(1, 7, 5, 2)], pooled(F.interpolate, size=(3, 2), mode="bilinear", align_corners=False)),
    ("resize nearest up", [(1, 3, 2, 2)], pooled(F.interpolate, size=(7, 4), mode="nearest")),
    ("resize nearest down", [(1, 7, 5, 2)], pooled(F.interpolate, size=(3, 2), mode="nearest")),
    ("softmax", [(3, 4)], lambda x: F.softmax(x, -1)),
    ("log_softmax", [(3, 4)], lambda x: F.log_softmax(x, -1)),
    ("batch_norm train", [(2, 3, 2, 3), (3,), (3,)],
     lambda x, w, b: back(F.batch_norm(image(x), None, None, w, b, training=True, eps=1e-3))),
    ("batch_norm affine", [(2, 3, 2, 3), (3,), (3,)],
     lambda x, w, b: back(F.batch_norm(image(x), torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.5, 1.5, 0.25]), w, b,
                                       training=False, eps=1e-3))),
    ("layer_norm", [(2, 3, 4), (4,), (4,)], lambda x, w, b: F.layer_norm(x, (4,), w, b, eps=1e-3)),
    ("group_norm", [(2, 3, 2, 6), (6,), (6,)], lambda x, w, b: back(F.group_norm(image(x), 3, w, b))),
    ("cross_entropy", [(4, 3)], lambda x: F.cross_entropy(x, LABELS)),
    ("cross_entropy smoothing", [(4, 3)], lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1)),
    ("cross_entropy weights", [(4, 3)], lambda x: F.cross_entropy(x, LABELS, weight=CLASS_WEIGHT)),
    ("cross_entropy smoothing weights", [(4, 3)],
     lambda x: F.cross_entropy(x, LABELS, weight=CLASS_WEIGHT, label_smoothing=0.2)),
    ("binary_cross_entropy_with_logits", [(3, 4), (3, 4)],
     lambda x, t: F.binary_cross_entropy_with_logits(3 * x, t * t)),
    ("mse_loss", [(3, 4), (3, 4)], F.mse_loss),
    ("gelu", [(11,)], lambda x: F.gelu(3 * x)),
    ("silu", [(11,)], lambda x: F.silu(3 * x)),
    ("elu", [(11,)], lambda x: F.elu(3 * x, alpha=0.7)),
    ("softplus", [(11,)], lambda x: F.softplus(3 * x, beta=2.0)),
    ("leaky_relu", [(11,)], lambda x: F.leaky_relu(x, 0.2)),
    ("relu6", [(101,)], lambda x: F.relu6(9 * x)),
    ("erf", [(11,)], lambda x: torch.erf(2 * x)),
    ("clamp", [(101,)], lambda x: torch.clamp(x, 10 / 50.5 - 1, 80 / 50.5 - 1)),  # both bounds are elements
    ("amax ties", [(3, 101)], lambda x: torch.amax(torch.where(x > 0.6, 1.0 + (x - x.detach()), x), 1)),
]


def main():
    print("// Written by tests/oracle/ops.py with torch", torch.__version__, "and numpy", np.__version__ + ", float64.")
    print("// A case: the sum of y c, then of d_x c for each input; inputs and c are the formulas of the script.")
    print("#pragma once\n\n#include <map>\n#include <string>\n#include <vector>\n")
    print("namespace backlight::test {\n\n// clang-format off")
    print("inline const std::map<std::string, std::vector<double>> golden_values = {")
    for name, shapes, function in CASES:
        inputs = [ramp(shape, k).requires_grad_() for k, shape in enumerate(shapes)]
        y = function(*inputs).reshape(-1)
        total = (y * coefficients(y.numel())).sum()
        total.backward()
        numbers = [total.item()] + [(x.grad.reshape(-1) * coefficients(x.numel())).sum().item() for x in inputs]
        print(f'    {{"{name}", {{{", ".join(f"{n:.17g}" for n in numbers)}}}}},')
    print("};\n// clang-format on\n\n}  // namespace backlight::test")


main()
