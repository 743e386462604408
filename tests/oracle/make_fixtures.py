"""Writes the small files of tests/data/io with the public packages, so that the readers meet what others write.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install numpy==2.4.6 safetensors==0.8.0 pillow==13.0.0
    /tmp/oracle/bin/python tests/oracle/make_fixtures.py

Every picture comes with NAME.rgb.npy: its pixels as Pillow reads them, (H, W, 3).
"""
import pathlib

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "data" / "io"


def npy_files():
    def save(name, array, version=None):
        with open(FOLDER / f"{name}.npy", "wb") as file:
            if version is None:
                np.save(file, array)
            else:
                np.lib.format.write_array(file, array, version=version)

    values = np.arange(6).reshape(2, 3)
    save("f4", (values / 4 - 0.5).astype("<f4"))
    save("f8", values.astype("<f8") / 3)
    save("i8", values.astype("<i8") - (1 << 40))
    save("u1", (values * 50).astype("u1"))
    save("scalar", np.array(2.5, "<f8"))
    save("empty", np.zeros((0, 3), "<f4"))
    save("vector", np.arange(1000).astype("u1"))  # four digits: less of the room to grow is left
    save("rank6", np.arange(64, dtype="<f4").reshape(1, 2, 2, 4, 2, 2))
    # 1, 1/3, the largest half, the smallest normal and subnormal ones, infinities, negative zero, not a number
    save("f2", np.array([1, 1 / 3, 65504, 6.104e-05, 6e-08, np.inf, -np.inf, -0.0, np.nan], "<f2"))
    save("i1", np.array([-128, -1, 127], "i1"))
    save("i2", np.array([-(1 << 15), (1 << 15) - 1], "<i2"))
    save("u2", np.array([(1 << 16) - 1], "<u2"))
    save("i4", np.array([-(1 << 31), (1 << 31) - 1], "<i4"))
    save("u4", np.array([(1 << 32) - 1], "<u4"))
    save("b1", np.array([True, False, True]))
    save("fortran", np.asfortranarray(np.arange(24, dtype="<i4").reshape(2, 3, 4)))
    save("version2", values.astype("<f4"), version=(2, 0))
    save("version3", values.astype("<f4"), version=(3, 0))
    save("big_endian", values.astype(">f4"))
    save("complex", np.zeros(2, "<c8"))
    save("records", np.zeros(2, [("a", "<f4")]))


def safetensors_files():
    # What our writer has to write byte for byte: one metadata entry, for the package's own order of several is random.
    safetensors.numpy.save_file(
        {
            "layer.weight": np.arange(6, dtype="<f4").reshape(2, 3) / 4,
            "layer.bias": np.array([-1.5, 2.25], "<f4"),
            "running.mean": np.array([1 / 3], "<f8"),
            "steps": np.array(1 << 40, "<i8"),
            "pixels": np.array([0, 128, 255], "u1"),
            "nothing": np.zeros((0, 4), "<f4"),
            'größe "q"\\': np.array([7], "<i8"),
        },
        FOLDER / "plain.safetensors",
        metadata={"format": "pt"},
    )
    (FOLDER / "no_tensors.safetensors").write_bytes(safetensors.numpy.save({}))

    kept = []  # a specification holds an address only

    def entry(dtype, array):
        kept.append(array)
        return safetensors.TensorSpec(
            dtype=dtype, shape=list(array.shape), data_ptr=array.ctypes.data, data_len=array.nbytes
        )

    # bfloat16 is the upper half of a float32.
    bfloat16 = (np.array([1.0, -2.5, 3.140625, np.inf], "<f4").view("<u4") >> 16).astype("<u2")
    (FOLDER / "converted.safetensors").write_bytes(
        safetensors.serialize(
            {
                "bool": entry("bool", np.array([True, False])),
                "i8": entry("int8", np.array([-128, 127], "i1")),
                "i16": entry("int16", np.array([-(1 << 15), (1 << 15) - 1], "<i2")),
                "u16": entry("uint16", np.array([(1 << 16) - 1], "<u2")),
                "i32": entry("int32", np.array([-(1 << 31), (1 << 31) - 1], "<i4")),
                "u32": entry("uint32", np.array([(1 << 32) - 1], "<u4")),
                "f16": entry("float16", np.array([[1, -2.5], [65504, 6e-08]], "<f2")),
                "bf16": entry("bfloat16", bfloat16),
            }
        )
    )
    (FOLDER / "unsupported.safetensors").write_bytes(
        safetensors.serialize({"scales": entry("float8_e4m3fn", np.zeros(4, "u1"))})
    )


def pictures():
    y, x = np.mgrid[0:19, 0:23]
    rgb = np.stack([x * 11, y * 13, 255 - (x + y) * 6], axis=-1).astype("u1")
    gray = ((x + y) * 6).astype("u1")
    alpha = (x * 11).astype("u1")

    def save(name, picture, **options):
        picture.save(FOLDER / name, **options)
        np.save(FOLDER / f"{name}.rgb.npy", np.asarray(Image.open(FOLDER / name).convert("RGB")))

    save("rgb.png", Image.fromarray(rgb))
    save("rgba.png", Image.fromarray(np.dstack([rgb, alpha])))
    save("gray.png", Image.fromarray(gray))
    save("gray_alpha.png", Image.fromarray(np.dstack([gray, alpha])))
    save("palette.png", Image.fromarray(rgb).quantize(16))
    save("baseline.jpg", Image.fromarray(rgb), quality=90)
    save("progressive.jpg", Image.fromarray(rgb), quality=90, progressive=True)
    save("gray.jpg", Image.fromarray(gray), quality=90)
    save("cmyk.jpg", Image.fromarray(rgb).convert("CMYK"), quality=90)
    save("palette.gif", Image.fromarray(rgb).quantize(16))
    save("rgb.bmp", Image.fromarray(rgb))
    # 16 bits: the upper byte is what the 8-bit picture has
    Image.fromarray(gray.astype("<u2") * 256 + 129).save(FOLDER / "gray16.png")
    np.save(FOLDER / "rgb.png.luma.npy", np.asarray(Image.fromarray(rgb).convert("L")))


FOLDER.mkdir(parents=True, exist_ok=True)
npy_files()
safetensors_files()
pictures()
