"""The peer of bench_loader: torchvision's pipeline over a folder of pictures, for bench/loader.py.

    torch_loader.py FOLDER train|test WORKERS SECONDS pil|v2_pil|v2_tensor|v2_io

pil: PIL and torchvision.transforms; v2_pil: transforms.v2 on PIL pictures; v2_tensor: PIL decodes, v2 works on uint8
tensors; v2_io: torchvision.io decodes, v2 works on uint8 tensors.
"""
import json
import sys
import time

import torch
import torchvision
from torchvision import transforms
from torchvision.transforms import v2

NORMALIZE = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def pipeline(mode: str, form: str):
    if form == "pil":
        kind, head, tail = transforms, [], [transforms.ToTensor(), transforms.Normalize(**NORMALIZE)]
    else:
        kind, head = v2, [v2.PILToTensor()] if form == "v2_tensor" else []
        tail = [v2.PILToTensor()] if form == "v2_pil" else []
        tail += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(**NORMALIZE)]
    if mode == "train":
        body = [kind.RandomResizedCrop(224), kind.RandomHorizontalFlip()]
    else:
        body = [kind.Resize(256), kind.CenterCrop(224)]
    return kind.Compose(head + body + tail)


def io_loader(path: str) -> torch.Tensor:
    return torchvision.io.decode_image(path, mode=torchvision.io.ImageReadMode.RGB)


def main() -> None:
    folder, mode, workers, seconds, form = sys.argv[1:6]
    loader = io_loader if form == "v2_io" else torchvision.datasets.folder.default_loader
    data = torchvision.datasets.ImageFolder(folder, pipeline(mode, form), loader=loader)
    batches = torch.utils.data.DataLoader(data, batch_size=32, shuffle=mode == "train", num_workers=int(workers),
                                          persistent_workers=True)

    def endless():
        while True:
            yield from batches

    source = endless()
    for _ in range(4):
        next(source)
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < float(seconds):
        images += len(next(source)[1])
    print(json.dumps({"images_per_second": images / (time.perf_counter() - start)}))
    batches._iterator._shutdown_workers()


main()
