import numpy as np
import pytest
from PIL import Image

from anokit.errors import DataError
from anokit.types import ImageSpec
from anokit_datasets.folder import image_folder
from anokit_datasets.picture_options import ImageFolderOptions
from anokit_datasets.reader import folder_reader

SPEC = ImageSpec(1, 60, 60)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_a_new_file_is_read_as_the_training_images_were(tmp_path, resize):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    options = ImageFolderOptions(root=str(tmp_path), size=16, resize=resize)
    source = image_folder(options)
    read = folder_reader(options, source.spec)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), source.train[0].image.numpy())


def test_a_grey_file_is_brought_to_the_channels_of_the_run(tmp_path):
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(tmp_path / "grey.png")
    read = folder_reader(ImageFolderOptions(root="gone", size=8), ImageSpec(3, 8, 8))
    assert read(tmp_path / "grey.png").shape == (3, 8, 8)


def test_a_file_that_cannot_serve_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "wide.png")
    read = folder_reader(ImageFolderOptions(root="gone"), ImageSpec(1, 8, 8))
    with pytest.raises(DataError, match=r"broken\.png"):
        read(tmp_path / "broken.png")
    with pytest.raises(DataError, match=r"8×9.*8×8.*size"):
        read(tmp_path / "wide.png")


@pytest.mark.parametrize(
    ("resize", "box"),
    [("stretch", (0, 0, 30, 20)), ("crop", (5, 0, 25, 20)), ("pad", (0, -5, 30, 25))],
)
def test_pieces_of_a_whole_image_tell_what_it_shows(tmp_path, resize, box):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    # A size that both sides divide, so that the boxes are whole.
    read = folder_reader(ImageFolderOptions(root="gone", size=60, resize=resize), SPEC)
    pieces = read.pieces(tmp_path / "a.png")
    np.testing.assert_array_equal(pieces.images[0].numpy(), read(tmp_path / "a.png"))
    assert list(pieces.boxes) == [pytest.approx(box)]
    assert pieces.size == (30, 20)


def test_pieces_of_a_turned_file_are_those_of_the_upright_picture(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(tmp_path / "a.png", exif=exif)
    read = folder_reader(ImageFolderOptions(root="gone"), ImageSpec(1, 12, 8))
    pieces = read.pieces(tmp_path / "a.png")
    assert pieces.size == (8, 12)
    assert list(pieces.boxes) == [(0, 0, 8, 12)]
    assert pieces.images.shape == (1, 1, 12, 8)
