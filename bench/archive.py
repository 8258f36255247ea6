"""The image of about 500 MB: the same bytes on every machine, about as compressible as real ones, in five layers; the first
has many small files, the others larger ones."""

import os
import random

import imagekit
import lab

NAME = "bench-500mb"
LAYERS, LAYER_BYTES, SMALL_FILES = 5, 100 << 20, 4000


def _content(source, size):
    return source.randbytes(size // 2).hex().encode()


def big_archive():
    """Its path; made once."""
    folder = os.path.join(lab.CACHE, "images")
    path = os.path.join(folder, NAME + ".tar")
    fingerprint = imagekit.fingerprint_of(__file__, imagekit.__file__)
    if imagekit.up_to_date(path, fingerprint):
        return path
    os.makedirs(folder, exist_ok=True)
    source, layers = random.Random(500), []
    for number in range(LAYERS):
        layer = imagekit.Layer(f"bench layer {number}")
        count = SMALL_FILES if number == 0 else 100
        for index in range(count):
            layer.file(f"/data/{number}/{index % 50}/file-{index}", _content(source, LAYER_BYTES // count))
        layers.append(layer)
    imagekit.Image([NAME + ":latest"], layers, Cmd=["/none"]).save(path)
    imagekit.remember_inputs(path, fingerprint, set())
    return path
