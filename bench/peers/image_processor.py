"""The original's image path, one thread: argument COUNT, NUM_CROPS and a file; the median seconds of a picture on standard output."""
import math
import sys
import time

import torch
from PIL import Image
from torchvision import transforms

torch.set_num_threads(1)
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
TO_TENSOR = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)])


def pad(image):
    target = math.ceil(image.height / 336) * 336
    top = (target - image.height) // 2
    return transforms.functional.pad(image, [0, top, 0, target - image.height - top], fill=[255, 255, 255])


def hd_transform(image, num_crops):
    turned = image.width < image.height
    if turned:
        image = image.transpose(Image.TRANSPOSE)
    ratio = image.width / image.height
    scale = 1
    while scale * math.ceil(scale / ratio) <= num_crops:
        scale += 1
    width = (scale - 1) * 336
    image = pad(image.resize((width, int(width / ratio)), Image.BILINEAR))
    return image.transpose(Image.TRANSPOSE) if turned else image


def process(path, num_crops):
    picture = TO_TENSOR(hd_transform(Image.open(path).convert("RGB"), num_crops))
    overview = torch.nn.functional.interpolate(picture.unsqueeze(0).float(), size=(336, 336), mode="bicubic")
    rows, columns = picture.shape[1] // 336, picture.shape[2] // 336
    tiles = picture.reshape(3, rows, 336, columns, 336).permute(1, 3, 0, 2, 4).reshape(-1, 3, 336, 336)
    crops = torch.cat([overview, tiles])
    missing = num_crops + 1 - crops.shape[0]
    return torch.cat([crops, torch.zeros(missing, 3, 336, 336)]) if missing else crops


times = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    process(sys.argv[3], int(sys.argv[2]))
    times.append(time.perf_counter() - start)
print(sorted(times)[len(times) // 2], flush=True)
