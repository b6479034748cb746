"""What folders and masks of an image folder are called. Torch-free."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from anokit.errors import DataError

NORMAL_FOLDERS = frozenset(
    {"normal", "good", "ok", "defect-free", "defect_free", "defectfree", "nominal", "healthy"}
)
"""Sub-folders of test/ that hold normal images; every other one holds an anomalous kind."""
DEFECT_FOLDERS = frozenset(
    {"bad", "ng", "nok", "ko", "not_ok", "faulty", "defect", "defects", "defective", "anomaly"}
    | {"anomalies", "anomalous", "abnormal", "logical_anomalies", "structural_anomalies"}
    | {"reject", "rejects", "rejected", "fail", "failed", "fault", "faults", "outlier", "outliers"}
)
"""Names of folders that say that what they hold is not normal, and words in such names."""
DENIALS = frozenset({"free", "no", "non", "not", "without"})
"""Words that turn such a word round: no_defects."""
MASK_FOLDERS = frozenset({"ground_truth", "groundtruth", "ground-truth", "gt", "mask", "masks"})
TRAIN_FOLDERS = frozenset({"train", "training"})
TEST_FOLDERS = frozenset({"test", "testing", "test_public"})
VALIDATION_FOLDERS = frozenset({"validation", "val", "valid"})
PRIVATE_FOLDERS = frozenset({"test_private", "test_private_mixed"})
"""Of MVTec AD 2: test images whose labels nobody but a server has."""
KNOWN_FOLDERS = (
    TRAIN_FOLDERS | TEST_FOLDERS | MASK_FOLDERS | VALIDATION_FOLDERS | PRIVATE_FOLDERS
) | {"contaminants"}
MASK_ENDINGS = ("_mask", "", "_gt", "_ground_truth", "_groundtruth", "-mask", "_masks")
"""What a mask's stem has after its image's, the likeliest first."""
HELD_OUT = 5
"""Of two bare folders, normal and anomalous, one in so many of the normal images is for testing."""

TREE = """expected one of
  {root}/**/*.png                        unlabelled images, a training set without a test
  {root}/train/**                        training images, in any sub-folders
  {root}/contaminants/**                 optional: anomalies that `contamination` may mix in
  {root}/test/normal/**  (or good/)      optional: normal test images
  {root}/test/<kind>/**                  optional: anomalous test images
  {root}/ground_truth/<kind>/<stem>_mask.png    optional: masks, as in MVTec AD
  {root}/good/** and {root}/bad/**       two bare folders: a fifth of the good ones is for testing
in upper or lower case; see docs/datasets.md for other names"""

NAMED = 3
"""Folders that a sentence names; the rest is counted."""


def tells_defects(name: str) -> bool:
    """Return whether a folder is called after defects or masks: bad, NG, 2024_defects, masks."""
    name = name.lower()
    if name in DEFECT_FOLDERS | MASK_FOLDERS or name in NORMAL_FOLDERS:
        return name not in NORMAL_FOLDERS
    words = set(re.split(r"[\W\d_]+", name))
    return bool(words & DEFECT_FOLDERS) and not words & DENIALS


def check_names(
    folder: Path, train: Sequence[Path], accepted: bool, *, beside_good: bool = False
) -> list[str]:
    """Raise DataError, or return a sentence, where names say that images are no normal ones.

    ``beside_good``: whether a sub-folder beside one such as good/ says so too.
    """
    first = {p.relative_to(folder).parts[0].lower() for p in train if p.parent != folder}
    others = first - NORMAL_FOLDERS if beside_good and first & NORMAL_FOLDERS else set()
    suspicious = Counter(
        "/".join(parts[: place + 1])
        for path in train
        for parts in [path.relative_to(folder).parts]
        for place, name in enumerate(parts[:-1])
        if tells_defects(name) or (place == 0 and name.lower() in others)
    )
    if not suspicious:
        return []
    listed = ", ".join(
        f"{folder / name} ({count:,} images)" for name, count in suspicious.most_common(NAMED)
    )
    if accepted:
        return [f"TRAINED ON ALTHOUGH CALLED AFTER DEFECTS OR MASKS: {listed}"]
    raise DataError(
        f"{listed}: to be trained on as normal, yet called after defects or masks, or beside "
        "good/; move defects to test/ or contaminants/ and masks to ground_truth/, or set "
        "accept_defects = true under [dataset] to train on them"
    )
