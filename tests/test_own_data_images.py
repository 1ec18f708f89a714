"""`from_folder` and `read_image`: a learner's own images, also the broken and the odd ones."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from tlcourse import CourseError, from_folder
from tlcourse.datasets import reading
from tlcourse.datasets.folder import _reorder
from tlcourse.datasets.listing import natural
from tlcourse.datasets.partition import partition
from tlcourse.datasets.reading import read_image


def picture(i=0, size=(40, 30), mode="RGB"):
    """A picture of its own for every number."""
    pixels = np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def fill(root, counts, suffix=".png"):
    for c, (name, n) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(n):
            picture(1000 * c + i).save(root / name / f"img{i}{suffix}")
    return root


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "pets", {"cats": 10, "dogs": 10})


def message(call, *args, **options):
    with pytest.raises(CourseError) as error:
        call(*args, **options)
    assert error.value.what
    return str(error.value)


# --- a good folder


def test_a_folder_for_each_class_becomes_three_splits(root):
    data = from_folder(root, size=32)
    assert data.classes == ("cats", "dogs") and data.kind == "image" and data.name == "pets"
    assert [s.counts() for s in data.splits] == [{"cats": 6, "dogs": 6}, {"cats": 2, "dogs": 2}, {"cats": 2, "dogs": 2}]
    assert data.train.x.shape == (12, 3, 32, 32) and data.train.x.dtype == torch.uint8
    ids = [i for s in data.splits for i in s.ids]
    assert len(set(ids)) == 20 and all(i.startswith(("cats/img", "dogs/img")) and "#" in i for i in ids)


def test_each_image_keeps_its_pixels_its_label_and_its_name(root):
    for split in from_folder(root, size=30).splits:
        for x, y, name in zip(split.x, split.y.tolist(), split.ids, strict=True):
            path = name.split("#")[0]
            assert torch.equal(x, read_image(root / path, size=30))
            assert path.startswith(split.classes[y])


def test_the_same_seed_gives_the_same_splits_and_another_seed_others(root):
    first, again, other = (from_folder(root, size=16, seed=s) for s in (0, 0, 1))
    assert [s.fingerprint for s in first.splits] == [s.fingerprint for s in again.splits]
    assert set(first.test.ids) != set(other.test.ids)


def test_shares_can_be_chosen_and_valid_left_out(root):
    data = from_folder(root, size=16, splits=(0.8, 0, 0.2))
    assert [len(s) for s in data.splits] == [16, 0, 4] and data.valid.x.shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    "splits", [(0.6, 0.2), (0.5, 0.2, 0.2), (1, 0, 0), (0, 0.5, 0.5), "abc", None, (1.2, -0.4, 0.2)]
)
def test_impossible_shares_are_explained(root, splits):
    assert "sum to 1" in message(from_folder, root, splits=splits)


@pytest.mark.parametrize("size", [0, -1, 2.5, "big", True, 10**6])
def test_an_impossible_size_is_explained(root, size):
    assert "not a number of pixels" in message(from_folder, root, size=size)


def test_the_middle_square_is_taken_and_scaled(tmp_path):
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    wide.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", size=50)
    assert pixels.shape == (3, 50, 50)
    assert pixels[2].float().mean() > 250 and pixels[0].float().mean() < 5
    assert read_image(tmp_path / "a.png").shape == (3, 100, 300)


def test_shrinking_averages_rather_than_skips(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (400, 200))
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", size=40).float() - 127.5).abs().max() < 15


def test_names_are_sorted_as_people_count_and_hidden_files_skipped(root):
    (root / ".git").mkdir()
    (root / ".ipynb_checkpoints").mkdir()
    (root / "cats" / ".hidden.png").write_bytes(b"x")
    (root / "cats" / "._img1.png").write_bytes(b"x")
    (root / "cats" / "Thumbs.db").write_bytes(b"x")
    (root / "cats" / "notes.txt").write_text("x")
    picture(77).save(root / "cats" / "UPPER.PNG")
    (root / "dogs" / "more").mkdir()
    picture(78).save(root / "dogs" / "more" / "deep.jpeg")
    data = from_folder(root, size=16)
    ids = [i for s in data.splits for i in s.ids]
    assert any("UPPER" in i for i in ids) and any("more/deep" in i for i in ids) and len(ids) == 22
    assert any("1 other files were left out (.txt)" in note for note in data.notes)
    assert sorted(["img10", "img2", "Img1"], key=natural) == ["Img1", "img2", "img10"]
    assert sorted(["class10", "class2"], key=natural) == ["class2", "class10"]


def test_ready_made_splits_are_kept(tmp_path):
    for i, side in enumerate(("train", "val", "test")):
        for c, name in enumerate(("a", "b")):
            (tmp_path / side / name).mkdir(parents=True)
            for k in range(3):
                picture(100 * i + 10 * c + k).save(tmp_path / side / name / f"{k}.png")
    data = from_folder(tmp_path, size=16)
    assert [len(s) for s in data.splits] == [6, 6, 6]
    assert all(i.startswith(("train/", "val/", "test/")[k]) for k, s in enumerate(data.splits) for i in s.ids)


def test_a_missing_valid_folder_is_cut_from_train(tmp_path):
    for side in ("Train", "Test"):
        fill(tmp_path / side, {"a": 10, "b": 10})
        for file in (tmp_path / side).rglob("*.png"):
            picture(zlib.crc32(str(file.relative_to(tmp_path)).encode())).save(file)
    data = from_folder(tmp_path, size=16)
    assert [len(s) for s in data.splits] == [16, 4, 20]
    assert any("no valid folder" in note for note in data.notes)


def test_an_image_that_stands_in_train_and_test_is_tested_on_only(tmp_path):
    for side in ("train", "valid", "test"):
        fill(tmp_path / side, {"a": 4, "b": 4})  # the same pictures everywhere
    for c in "ab":
        for k in range(3):
            picture(50_000 + 10 * ord(c) + k).save(tmp_path / "train" / c / f"new{k}.png")
    data = from_folder(tmp_path, size=16)
    assert [len(s) for s in data.splits] == [6, 0, 8]
    assert any("stood in two of train, valid and test" in note for note in data.notes)


def test_equal_images_are_never_on_two_sides(root):
    for i in range(10):
        twin = Image.open(root / "cats" / f"img{i}.png")
        twin.save(root / "cats" / f"copy{i}.bmp")  # other bytes, the same picture
    data = from_folder(root, size=24)
    where = {}
    for split in data.splits:
        for x in split.x:
            where.setdefault(x.numpy().tobytes(), set()).add(split.name)
    assert all(len(sides) == 1 for sides in where.values()) and sum(map(len, data.splits)) == 30


def test_an_image_in_two_classes_is_reported(root):
    Image.open(root / "cats" / "img3.png").save(root / "dogs" / "same.png")
    notes = from_folder(root, size=16).notes
    assert any("more than one class" in n and "cats/img3.png" in n and "dogs/same.png" in n for n in notes)


def test_small_classes_reach_train_and_test(tmp_path):
    data = from_folder(fill(tmp_path / "d", {"a": 2, "b": 3, "c": 20}), size=16)
    assert data.train.counts() == {"a": 1, "b": 1, "c": 12} and data.test.counts() == {"a": 1, "b": 1, "c": 4}
    assert any("No image of a is in valid" in note for note in data.notes)


# --- folders that hold no data set


def test_a_missing_folder_gets_the_nearest_name(root):
    said = message(from_folder, root.parent / "petz")
    assert "There is no folder" in said and "Did you mean" in said and "pets" in said


def test_a_file_is_not_a_folder(root):
    assert "is a file, not a folder" in message(from_folder, root / "cats" / "img0.png")
    (root / "all.zip").write_bytes(b"PK")
    assert "Unpack it" in message(from_folder, root / "all.zip")
    (root / "all.csv").write_text("a,b")
    assert "from_csv" in message(from_folder, root / "all.csv")


def test_an_empty_folder(tmp_path):
    assert "There are no images" in message(from_folder, tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.heic").write_bytes(b"0")
    assert "HEIC images as JPEG" in message(from_folder, tmp_path)


def test_one_class_only(tmp_path):
    fill(tmp_path / "x", {"cats": 4})
    assert "only one class, 'cats'" in message(from_folder, tmp_path / "x")
    fill(tmp_path / "y" / "outer", {"cats": 4, "dogs": 4})
    assert "pass" in message(from_folder, tmp_path / "y") and "outer" in message(from_folder, tmp_path / "y")


def test_one_image_in_a_class(tmp_path):
    said = message(from_folder, fill(tmp_path / "x", {"cats": 4, "dogs": 1}))
    assert "at least two different images" in said and "'dogs' has 1" in said
    picture(1000).save(tmp_path / "x" / "dogs" / "copy.png")
    assert "'dogs' has 1" in message(from_folder, tmp_path / "x"), "a copy is no second image"


def test_images_directly_in_the_folder(tmp_path, root):
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    (tmp_path / "only").mkdir()
    for folder in root.iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    root.rmdir()
    said = message(from_folder, tmp_path)
    assert "lie directly in the folder" in said and "one folder for each class" in said


def test_loose_images_beside_classes_and_empty_classes_are_noted(root):
    picture(5).save(root / "loose.png")
    (root / "birds").mkdir()
    data = from_folder(root, size=16)
    assert data.classes == ("cats", "dogs")
    assert any("1 images that lie beside" in n and "loose.png" in n for n in data.notes)
    assert any("without images" in n and "birds" in n for n in data.notes)


# --- files that cannot be read


def truncated():
    buffer = io.BytesIO()
    picture(9, (300, 300)).save(buffer, "JPEG")
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


def png(width, height, depth, colour, data=b""):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


BROKEN = {
    "truncated.jpg": (truncated, "damaged"),
    "zero.jpg": (lambda: b"", "empty \\(0 bytes\\)"),
    "text.jpg": (lambda: b"Dear diary, today", "text, not an image: it begins with 'Dear diary"),
    "page.jpg": (lambda: b"<!DOCTYPE html><html>404", "web page"),
    "phone.jpg": (lambda: b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC"),
    "noise.png": (lambda: bytes(range(256)), "not an image in a format"),
    "cut.png": (lambda: png(50, 50, 8, 2, b"\0" * 7650)[:60], "damaged"),
    "bomb.png": (lambda: png(30_000, 30_000, 8, 2), "million pixels"),
    "script.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_gets_its_reason(tmp_path, name):
    make, reason = BROKEN[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(CourseError, match=reason):
        read_image(tmp_path / name, size=32)


def test_broken_images_are_listed_at_once_and_can_be_skipped(root):
    for name, (make, _) in BROKEN.items():
        (root / "cats" / name).write_bytes(make())
    said = message(from_folder, root, size=16)
    assert f"{len(BROKEN)} of {20 + len(BROKEN)} images cannot be read" in said
    assert "cats/bomb.png: it has more" in said or "cats/bomb.png: it has 900" in said
    assert "and 4 more" in said and "skip_unreadable=True" in said and str(root) in said
    data = from_folder(root, size=16, skip_unreadable=True)
    assert sum(map(len, data.splits)) == 20
    note = next(n for n in data.notes if "unreadable files were left out" in n)
    assert all(name in note for name in BROKEN)


def test_skipping_still_needs_images(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"")
    assert "2 of 2 images cannot be read" in message(from_folder, tmp_path, skip_unreadable=True)


def test_a_link_to_nothing_and_a_circle_of_links(root):
    (root / "cats" / "gone.png").symlink_to(root / "nothing.png")
    (root / "cats" / "again").symlink_to(root / "cats", target_is_directory=True)
    (root / "cats" / "loop").symlink_to(root / "cats" / "loop")
    assert "1 of 21 images cannot be read" in message(from_folder, root, size=16)
    assert sum(map(len, from_folder(root, size=16, skip_unreadable=True).splits)) == 20


def test_a_linked_folder_counts(root, tmp_path):
    elsewhere = fill(tmp_path / "elsewhere", {"birds": 5})
    (root / "birds").symlink_to(elsewhere / "birds", target_is_directory=True)
    for i in range(5):
        picture(90 + i).save(root / "birds" / f"img{i}.png")
    assert from_folder(root, size=16).classes == ("birds", "cats", "dogs")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_hang(root):
    os.mkfifo(root / "cats" / "pipe.png")
    assert "it is not a file" in message(from_folder, root, size=16)


def test_a_file_that_may_not_be_read(root, monkeypatch):
    real = open

    def refused(path, *args, **options):
        if str(path).endswith("img3.png"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr("builtins.open", refused)
    said = message(from_folder, root, size=16)
    assert "2 of 20 images" in said and "cats/img3.png: you may not read this file" in said


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="everything is permitted here")
def test_a_folder_that_may_not_be_read(root):
    (root / "cats").chmod(0)
    try:
        assert "cannot be read" in message(from_folder, root, size=16)
    finally:
        (root / "cats").chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode here")
def test_names_that_are_not_utf8(root):
    odd = os.fsencode(str(root / "cats")) + b"/caf\xe9.png"
    try:
        with open(odd, "wb") as file:
            picture(5).save(file, "PNG")
    except OSError:
        pytest.skip("this file system has no such names")
    data = from_folder(root, size=16)
    name = next(i for s in data.splits for i in s.ids if "caf" in i)
    assert "caf\\udce9" in name or "caf\\xe9" in name
    assert all(s.fingerprint for s in data.splits) and data._repr_html_().encode()


# --- odd images, repaired


def both(tmp_path, image, name, **options):
    image.save(tmp_path / name, **options)
    return read_image(tmp_path / name)


def remarks(path):
    return reading.read_pixels(path, None)[1]


def test_cmyk(tmp_path):
    x = both(tmp_path, Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "a.jpg", quality=95)
    assert x.shape == (3, 20, 20)
    assert x[0].float().mean() > 240 and x[1:].float().mean() < 20, "cyan 0, magenta and yellow full is red"


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_and_not_cut_off(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 4096).astype(np.uint16).reshape(64, 64)
    x = both(tmp_path, Image.fromarray(ramp), "a" + suffix)
    assert x[0].flatten().tolist() == np.rint(ramp.astype(float) / 257).astype(int).flatten().tolist()
    assert torch.equal(x[0], x[1]) and (x[0] == 255).float().mean() < 0.01
    assert any("scaled to 8" in r for r in remarks(tmp_path / f"a{suffix}"))
    Image.fromarray(ramp // 16).save(tmp_path / f"dark{suffix}")
    assert any("very dark" in r for r in remarks(tmp_path / f"dark{suffix}"))


def test_16_bit_colour_png(tmp_path):
    levels = np.linspace(0, 65535, 256).astype(">u2")
    rows = np.stack([levels, levels[::-1], np.zeros(256, ">u2")], 1)
    (tmp_path / "a.png").write_bytes(png(256, 1, 16, 2, b"\0" + rows.tobytes()))
    x = read_image(tmp_path / "a.png")
    assert (
        abs(x[0, 0].int() - torch.arange(256)).max() <= 1 and abs(x[1, 0].int() - torch.arange(255, -1, -1)).max() <= 1
    )


def test_16_bit_colour_tiff(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([ramp] * 3, -1), photometric="rgb")
    x = read_image(tmp_path / "a.tif")
    assert abs(x[0].flatten().int() - torch.arange(256)).max() <= 1
    tifffile.imwrite(tmp_path / "b.tif", np.stack([ramp] * 3), photometric="rgb", planarconfig="separate")
    assert "separate planes" in message(read_image, tmp_path / "b.tif")


@pytest.mark.parametrize("top", [1.0, 255.0, 1000.0])
def test_decimal_grey_levels(tmp_path, top):
    ramp = np.linspace(0, top, 256, dtype=np.float32).reshape(16, 16)
    x = both(tmp_path, Image.fromarray(ramp), "a.tif")
    assert abs(x[0].flatten().int() - torch.arange(256)).max() <= 1


def test_transparent_parts_become_white(tmp_path):
    for mode, colour in (("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))):
        image = Image.new(mode, (20, 20), colour)
        assert (both(tmp_path, image, f"{mode}.png") == 255).all(), mode
        assert "transparent parts laid on white" in remarks(tmp_path / f"{mode}.png")
    ring = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    ring.paste((255, 0, 0, 255), (0, 0, 399, 400))  # red up to an odd column, beside transparent black
    ring.save(tmp_path / "ring.png")
    assert (read_image(tmp_path / "ring.png", size=20)[0] > 250).all(), "no dark rim where it was transparent"
    half = both(tmp_path, Image.new("RGBA", (20, 20), (0, 0, 0, 128)), "half.png")
    assert 120 <= half.float().mean() <= 135
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 10, 20))
    x = both(tmp_path, palette, "p.png", transparency=0)
    assert x[:, 0, 0].tolist() == [0, 0, 255] and x[:, 0, 19].tolist() == [255, 255, 255]
    x = both(tmp_path, palette, "q.png")
    assert x[:, 0, 19].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".tif"])
def test_of_several_pictures_the_first_is_used(root, suffix):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "blue")]
    file = root / "cats" / f"moving{suffix}"
    more = {"lossless": True} if suffix == ".webp" else {}
    frames[0].save(file, save_all=True, append_images=frames[1:], **more)
    assert read_image(file)[:, 5, 5].tolist() == [255, 0, 0]
    assert any("moving" in n and "the first is used" in n for n in from_folder(root, size=16).notes)


@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0)), (2, (0, -1))]
)
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_photographs_are_turned_as_the_camera_says(tmp_path, orientation, corner, suffix):
    image = Image.new("L", (64, 32), 0)
    image.paste(255, (0, 0, 16, 16))  # as stored: a bright upper left corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"a{suffix}", exif=exif)
    x = read_image(tmp_path / f"a{suffix}")
    assert x.shape == ((3, 64, 32) if orientation in (6, 8) else (3, 32, 64))
    assert x[0][corner] > 200 and sum(int(x[0][c] > 200) for c in ((0, 0), (0, -1), (-1, 0), (-1, -1))) == 1


def test_30000_pixels_wide(tmp_path):
    wide = Image.new("L", (30_000, 64), 0)
    wide.paste(200, (14_000, 0, 16_000, 64))
    for suffix in (".png", ".jpg"):
        wide.save(tmp_path / f"a{suffix}")
        x = read_image(tmp_path / f"a{suffix}", size=32)
        assert x.shape == (3, 32, 32) and abs(x.float().mean() - 200) < 3


def test_a_large_jpeg_is_decoded_reduced(tmp_path, monkeypatch):
    Image.new("RGB", (12_000, 9_000), (10, 120, 240)).save(tmp_path / "a.jpg")  # 108 million pixels: a telephone's
    sizes = []
    monkeypatch.setattr(reading, "_eight_bits", lambda image, done: sizes.append(image.size) or image)
    limit = Image.MAX_IMAGE_PIXELS
    x = read_image(tmp_path / "a.jpg", size=64)
    assert x.shape == (3, 64, 64) and abs(x[:, 30, 30].int() - torch.tensor([10, 120, 240])).max() < 4
    assert sizes == [(1500, 1125)]
    assert limit == Image.MAX_IMAGE_PIXELS and not ImageFile.LOAD_TRUNCATED_IMAGES
    assert "million pixels" in message(read_image, tmp_path / "a.jpg"), "the whole of it is too much"


def test_a_jpeg_that_claims_to_be_enormous_is_refused(tmp_path):
    buffer = io.BytesIO()
    picture(1).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    (tmp_path / "a.jpg").write_bytes(data)
    assert "3600 million pixels" in message(read_image, tmp_path / "a.jpg", size=32)


def test_small_images_are_enlarged_with_a_note(root):
    data = from_folder(root, size=64)
    assert data.train.x.shape[-1] == 64 and any("smaller than 64 pixels, enlarged" in n for n in data.notes)


# --- many images


def test_thousands_of_files_are_counted_on_a_bar(tmp_path, capsys):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(1000):
            pixels = np.frombuffer(f"{name}{i:05d}".encode() * 8, np.uint8).reshape(6, 8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.bmp")
    data = from_folder(tmp_path, size=8, progress=True)
    assert [len(s) for s in data.splits] == [1200, 400, 400]
    assert "reading images" in capsys.readouterr().err
    shared = {s.x.untyped_storage().data_ptr() for s in data.splits}
    assert len(shared) == 1, "the splits are pieces of one array"


def test_more_than_fits_into_memory_is_refused_before_reading(root, monkeypatch):
    class Memory:
        available = 200_000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    monkeypatch.setattr("tlcourse.datasets.folder.read_pixels", lambda *a: pytest.fail("it began to read"))
    assert "size=32" in message(from_folder, root, size=256)


def test_reordering_in_place_equals_indexing():
    for n in (0, 1, 2, 7, 50):
        order = np.random.default_rng(n).permutation(n)
        x = np.arange(n * 3).reshape(n, 3)
        expected = x[order]
        _reorder(x, order)
        assert np.array_equal(x, expected)


# --- how items are divided


def test_partition_keeps_groups_together_and_shares_close():
    rng = np.random.default_rng(0)
    y, groups = rng.integers(0, 3, 600), rng.integers(0, 80, 600)
    parts = partition(y, groups.tolist(), (0.6, 0.2, 0.2))
    assert sorted(np.concatenate(parts).tolist()) == list(range(600))
    sides = [set(groups[p].tolist()) for p in parts]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    for c in range(3):
        total = (y == c).sum()
        assert all(abs((y[p] == c).sum() / total - s) < 0.05 for p, s in zip(parts, (0.6, 0.2, 0.2), strict=True))


@pytest.mark.parametrize("groups", ["aab", "aaabbb", "abbbbbbb", "ab", "abc", "aabbccdd"])
def test_a_class_of_two_groups_is_in_train_and_in_test(groups):
    for seed in range(5):
        train, _, test = partition([0] * len(groups), groups, (0.6, 0.2, 0.2), seed)
        assert len(train) and len(test)
