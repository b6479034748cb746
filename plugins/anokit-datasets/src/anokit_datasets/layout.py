"""Which file of an image folder is what: training image, contaminant, test image, mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anokit.data import find_images, look_through, seeded_order
from anokit.errors import DataError, MissingDataError

NORMAL_FOLDERS = frozenset(
    {"normal", "good", "ok", "defect-free", "defect_free", "defectfree", "nominal", "healthy"}
)
"""Sub-folders of test/ that hold normal images; every other one holds an anomalous kind."""
DEFECT_FOLDERS = frozenset(
    {"bad", "ng", "nok", "ko", "not_ok", "faulty", "defect", "defects", "defective", "anomaly"}
    | {"anomalies", "anomalous", "abnormal", "logical_anomalies", "structural_anomalies"}
)
"""Names of folders that say that what they hold is not normal."""
MASK_FOLDERS = frozenset({"ground_truth", "groundtruth", "ground-truth", "gt", "mask", "masks"})
TRAIN_FOLDERS = frozenset({"train", "training"})
TEST_FOLDERS = frozenset({"test", "testing", "test_public"})
KNOWN_FOLDERS = TRAIN_FOLDERS | TEST_FOLDERS | MASK_FOLDERS | {"contaminants"}
MASK_ENDINGS = ("_mask", "", "_gt", "_ground_truth", "_groundtruth", "-mask", "_masks")
"""What a mask's stem has after its image's, the likeliest first."""
NAMED = 3
"""Files that a notice names; the rest is counted."""
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


@dataclass(frozen=True)
class Layout:
    """The image files of a folder, sorted by path, or those that are listed."""

    root: Path
    """what ids are relative to; the working directory where files are listed"""
    train: Sequence[Path]
    contaminants: Sequence[Path] = ()
    test: Sequence[Path] = ()
    masks: Mapping[Path, Sequence[Path]] = field(default_factory=dict)
    """masks by test image; what any of them marks is anomalous"""
    depth: int = 1
    """which folder below the root, counted from 0, tells the kind"""
    notices: Sequence[str] = ()
    where: str = ""
    """what names the files in messages, where it is not the root"""

    def id(self, path: Path) -> str:
        """Return the path of a file below the root; as it was given where it does not lie there."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def kind(self, path: Path) -> str:
        """Return the sub-folder of test/ or contaminants/ that a file lies in, or that folder."""
        parts = path.relative_to(self.root).parts
        return parts[self.depth] if len(parts) > self.depth + 1 else parts[-2]

    def label(self, path: Path) -> int:
        """Return 0 for a normal test image, 1 for an anomalous one."""
        return int(self.kind(path).lower() not in NORMAL_FOLDERS)

    def labels(self, paths: Sequence[Path]) -> list[int] | None:
        """Return the labels of test images; None where they have none."""
        return [self.label(path) for path in paths]


def read_layout(root: Path, *, accept_defects: bool = False, seed: int = 0) -> Layout:
    """Look through ``root`` without opening a file.

    Parameters
    ----------
    accept_defects
        Whether folders that are called after defects or masks may be trained on.
    seed
        of the draw of normal test images where there are but two folders, good and bad.

    Raises
    ------
    MissingDataError
        Where the folder is not there or holds no image.
    DataError
        Where there is a test/ without a train/, images lie in test/ itself, or a folder to be
        trained on is called after defects or masks and that is not accepted.
    """
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise MissingDataError(f"image folder {root} {problem}; {TREE.format(root=root)}")
    train_folder = child(root, TRAIN_FOLDERS)
    if train_folder is None:
        return read_pair(root, seed) or read_bare(root, accept_defects)
    train = find_images(train_folder)
    if not train:
        raise MissingDataError(f"{train_folder} holds no image; {TREE.format(root=root)}")
    notices: list[str] = []
    other = sorted(
        p.name for p in root.iterdir() if p.is_dir() and p.name.lower() not in KNOWN_FOLDERS
    )
    if other := [name for name in other if find_images(root / name)]:
        notices.append(
            f"{root}: not used: images in {', '.join(other)} (known: train, contaminants, test)"
        )
    notices += check_names(train_folder, train, accept_defects)
    kinds = {p.relative_to(root).parts[1] for p in train if len(p.relative_to(root).parts) > 2}
    if len(kinds) > 1:
        listed = ", ".join(f"{train_folder.name}/{kind}" for kind in sorted(kinds))
        notices.append(
            f"{root}: all of {listed} is taken as normal; known anomalies belong into contaminants/"
        )
    notices += passed_over(root)
    contaminants = child(root, {"contaminants"})
    layout = Layout(
        root=root,
        train=train,
        contaminants=find_images(contaminants) if contaminants else (),
        notices=notices,
    )
    test_folder = child(root, TEST_FOLDERS)
    if test_folder is None:
        return layout
    mask_folder = child(root, MASK_FOLDERS) or child(test_folder, MASK_FOLDERS)
    test = find_test(root, test_folder, notices)
    return with_masks(replace(layout, test=test), test_folder, mask_folder, notices)


def child(folder: Path, names: Collection[str]) -> Path | None:
    """Return the sub-folder that has one of ``names`` in any case, the first by name."""
    return next(
        (p for p in sorted(folder.iterdir()) if p.name.lower() in names and p.is_dir()), None
    )


def passed_over(root: Path) -> list[str]:
    """Return a sentence on files below the root that are not taken as images, if any."""
    skipped = look_through(root).skipped()
    return [f"{root}: passed over: {skipped}"] if skipped else []


def check_names(folder: Path, train: Sequence[Path], accepted: bool) -> list[str]:
    """Raise DataError, or return a sentence, where names say that images are no normal ones."""
    suspicious = Counter(
        "/".join(parts[: place + 1])
        for path in train
        for parts in [path.relative_to(folder).parts]
        for place, name in enumerate(parts[:-1])
        if name.lower() in DEFECT_FOLDERS | MASK_FOLDERS
    )
    if not suspicious:
        return []
    listed = ", ".join(
        f"{folder / name} ({count:,} images)" for name, count in suspicious.most_common(NAMED)
    )
    if accepted:
        return [f"TRAINED ON ALTHOUGH CALLED AFTER DEFECTS OR MASKS: {listed}"]
    raise DataError(
        f"{listed}: to be trained on as normal, yet called after defects or masks; move defects to "
        "test/ or contaminants/ and masks to ground_truth/, or set accept_defects = true under "
        "[dataset] to train on them"
    )


def read_pair(root: Path, seed: int) -> Layout | None:
    """Return the layout of two bare folders, normal and anomalous, or None where these are not.

    As Normal/ and Anomaly/ of VisA below Data/Images, with its masks in Data/Masks. One in
    `HELD_OUT` of the normal images, by seed, is for testing.
    """
    place = root
    for name in ("data", "images"):
        place = child(place, {name}) or place
    folders = [p for p in sorted(place.iterdir()) if p.is_dir()]
    good = [p for p in folders if p.name.lower() in NORMAL_FOLDERS]
    bad = [p for p in folders if p.name.lower() in DEFECT_FOLDERS]
    normal = [path for folder in good for path in find_images(folder)]
    anomalous = [path for folder in bad for path in find_images(folder)]
    if not normal or not anomalous or child(root, TEST_FOLDERS):
        return None
    out = set(seeded_order(len(normal), seed, "pair")[: len(normal) // HELD_OUT].tolist())
    names = ", ".join(p.relative_to(root).as_posix() for p in [*good, *bad])
    text = (
        f"{root} has no train/: of {names}, {len(normal) - len(out)} normal images are taken for "
        f"training, {len(out)} normal and {len(anomalous)} anomalous ones for testing"
    )
    notices = [text, *passed_over(root)]
    layout = Layout(
        root=root,
        train=[path for row, path in enumerate(normal) if row not in out],
        test=[*(path for row, path in enumerate(normal) if row in out), *anomalous],
        depth=len(place.relative_to(root).parts),
        notices=notices,
    )
    masks = child(place, MASK_FOLDERS) or child(place.parent, MASK_FOLDERS if place != root else ())
    return with_masks(layout, place, masks, notices)


def read_bare(root: Path, accept_defects: bool) -> Layout:
    """Return the layout of a folder without train/: everything is an unlabelled training image."""
    if child(root, TEST_FOLDERS):
        raise DataError(f"{root} has test/ but no train/; {TREE.format(root=root)}")
    train = find_images(root)
    if not train:
        skipped = look_through(root).skipped()
        more = f" (passed over: {skipped})" if skipped else ""
        raise MissingDataError(
            f"image folder {root} holds no image{more}; {TREE.format(root=root)}"
        )
    notices = [
        *check_names(root, train, accept_defects),
        f"{root} has no train/: all {len(train)} images below it are one set without labels",
        *passed_over(root),
    ]
    return Layout(root=root, train=train, notices=notices)


def find_test(root: Path, folder: Path, notices: list[str]) -> list[Path]:
    """Return the images of test/, all of which lie in a sub-folder."""
    test = [
        path
        for path in find_images(folder)
        if path.parent == folder or path.relative_to(folder).parts[0].lower() not in MASK_FOLDERS
    ]
    loose = [path for path in test if path.parent == folder]
    if loose:
        raise DataError(
            f"{loose[0]} lies in {folder.name}/ itself, so nothing says whether it is normal; "
            f"{TREE.format(root=root)}"
        )
    if test and child(folder, NORMAL_FOLDERS) is None:
        notices.append(f"{folder} has neither normal/ nor good/: every test image is anomalous")
    return test


def with_masks(layout: Layout, images: Path, folder: Path | None, notices: list[str]) -> Layout:
    """Return the layout with the masks of its test images; say which do not fit.

    A mask has its image's place below ``folder``, with one of `MASK_ENDINGS`, or is one of several
    in a folder of that name. Letters may differ in case.
    """
    if folder is None:
        return layout
    by_place: dict[str, list[Path]] = {}
    for path in find_images(folder):
        place = path.relative_to(folder).with_suffix("")
        for key in (place, place.parent):
            by_place.setdefault(key.as_posix().lower(), []).append(path)
    found: dict[Path, Sequence[Path]] = {}
    for image in layout.test:
        place = image.relative_to(images).with_suffix("")
        keys = (place.with_name(place.name + ending).as_posix().lower() for ending in MASK_ENDINGS)
        if masks := next((by_place[key] for key in keys if key in by_place), None):
            found[image] = masks
    used = {path for masks in found.values() for path in masks}
    unused = [path for path in find_images(folder) if path not in used]
    bare = [path for path in layout.test if layout.label(path) and path not in found]
    for files, what in (
        (unused, "masks in {0} fit no test image and are not used"),
        (bare, "anomalous test images have no mask in {0}"),
    ):
        if files:
            named = ", ".join(layout.id(path) for path in files[:NAMED])
            more = ", …" if len(files) > NAMED else ""
            notices.append(f"{len(files)} {what.format(folder)}: {named}{more}")
    return replace(layout, masks=found, notices=notices)
