"""A training set far larger than memory trains from its memory map."""

import json

CODE = """
import json, resource, sys
import numpy as np, torch
from anokit.data import ArraySplit
from anokit.data.preparing import _fingerprint
from anokit.data.rows import ids_of, images_of
from anokit.data.sets import ImageTable, TrainingSet
from anokit.data.feed import Feed

N = 262_829
with open("images", "wb") as file:
    file.truncate(N * 64 * 64)  # sparse: takes no room on disk
images = np.memmap("images", np.uint8, "r+", shape=(N, 1, 64, 64))
images[N - 1] = 255

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    sizes = {line.split(":")[0]: line.split() for line in lines}
    return {name: int(sizes[name][1]) * 1024 for name in ("RssAnon",)}

before = anonymous()
split = ArraySplit(images, [f"{i}" for i in range(N)])
table = ImageTable([images_of(split)])
train = TrainingSet(table, ids_of(split), np.zeros(N, dtype=bool))
digest = _fingerprint(train)
feed = Feed(table, torch.device("cpu"), 0)
last = None
for number in range(300):
    batch, indices = feed.batch(64 * number, 64, 32)
epoch = -(-N // 64) * 64
images_again, _ = feed.batch(epoch - 32, 64, None)  # over the end of the first epoch
place = int(np.flatnonzero(feed.indices(0, N) == N - 1)[0])
white, _ = feed.batch(place, 1, None)
after = anonymous()
print(json.dumps({
    "grown": {name: after[name] - before[name] for name in after},
    "shape": list(batch.shape),
    "white": float(white.min()),
}))
"""


def test_a_memory_map_of_a_gigabyte_takes_little_memory(python, warm_python):
    result = python("-c", CODE, executable=warm_python)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["shape"] == [64, 1, 32, 32]
    assert found["white"] == 1.0
    assert found["grown"]["RssAnon"] < 0.3e9
