"""headstart.public_sets: torchvision's classes on tiny data sets in their own layout on disk; downloads themselves are not tried."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from collections import Counter
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from headstart.importing import public_sets
from headstart.machinery.errors import HeadstartError, ParamsError
from tests import toy

Found = list[tuple[str, str, object]]


def samples(name: str, root: Path) -> Found:
    return [tuple(sample) for sample in public_sets.load(name, root)]  # type: ignore[misc]


def photo(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    toy.photo(number).save(path)
    return path


def no_download(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """For classes that check sums before they believe a folder."""
    from torchvision import datasets

    cls = getattr(datasets, kind)
    for name in ("_check_integrity", "_check_exists"):
        if hasattr(cls, name):
            monkeypatch.setattr(cls, name, lambda self: True)


def test_dtd(tmp_path: Path) -> None:
    expected: Found = []
    for split, ours in (("train", "train"), ("val", "validation"), ("test", "test")):
        for label in ("banded", "zigzagged"):
            expected.append((ours, label, photo(tmp_path / f"dtd/dtd/images/{label}/{label}_{split}.jpg")))
        labels = tmp_path / f"dtd/dtd/labels/{split}1.txt"
        labels.parent.mkdir(exist_ok=True)
        labels.write_text("".join(f"{label}/{label}_{split}.jpg\n" for label in ("banded", "zigzagged")))
    assert samples("dtd", tmp_path) == expected


def test_eurosat_has_no_splits(tmp_path: Path) -> None:
    expected = [("", label, photo(tmp_path / f"eurosat/2750/{label}/{label}_1.jpg")) for label in ("AnnualCrop", "Forest")]
    assert samples("EuroSAT", tmp_path) == expected


def test_flowers102(tmp_path: Path) -> None:
    from scipy.io import savemat

    folder = tmp_path / "flowers-102"
    for number in range(1, 7):
        photo(folder / f"jpg/image_{number:05d}.jpg", number)
    savemat(folder / "imagelabels.mat", {"labels": [1, 1, 1, 77, 77, 77]})
    savemat(folder / "setid.mat", {"trnid": [1, 4], "valid": [2, 5], "tstid": [3, 6]})
    with pytest.MonkeyPatch.context() as patch:
        no_download(patch, "Flowers102")
        from torchvision import datasets

        patch.setattr(datasets.Flowers102, "download", lambda self: None)
        found = samples("flowers102", tmp_path)
    assert [sample[:2] for sample in found][:2] == [("train", "pink primrose"), ("train", "passion flower")]
    assert [Path(str(sample[2])).name for sample in found] == [f"image_{number:05d}.jpg" for number in (1, 4, 2, 5, 3, 6)]
    assert Counter(sample[0] for sample in found) == {"train": 2, "validation": 2, "test": 2}


def test_oxford_iiit_pet(tmp_path: Path) -> None:
    folder = tmp_path / "oxford-iiit-pet"
    names = ["Abyssinian_1", "Abyssinian_2", "yorkshire_terrier_1", "yorkshire_terrier_2"]
    for name in names:
        photo(folder / f"images/{name}.jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations/trainval.txt").write_text(f"{names[0]} 1 1 1\n{names[2]} 2 2 1\n")
    (folder / "annotations/test.txt").write_text(f"{names[1]} 1 1 1\n{names[3]} 2 2 1\n")
    assert samples("oxford_iiit_pet", tmp_path) == [
        ("train", "Abyssinian", folder / "images/Abyssinian_1.jpg"),
        ("train", "Yorkshire Terrier", folder / "images/yorkshire_terrier_1.jpg"),
        ("test", "Abyssinian", folder / "images/Abyssinian_2.jpg"),
        ("test", "Yorkshire Terrier", folder / "images/yorkshire_terrier_2.jpg"),
    ]


def test_food101(tmp_path: Path) -> None:
    folder = tmp_path / "food-101"
    for split, number in (("train", 1), ("test", 2)):
        for label in ("pizza", "sushi"):
            photo(folder / f"images/{label}/{number}.jpg")
        (folder / "meta").mkdir(exist_ok=True)
        (folder / f"meta/{split}.json").write_text(json.dumps({label: [f"{label}/{number}"] for label in ("pizza", "sushi")}))
    assert samples("food101", tmp_path) == [
        (split, label, folder / f"images/{label}/{number}.jpg")
        for split, number in (("train", 1), ("test", 2))
        for label in ("pizza", "sushi")
    ]


def test_fgvc_aircraft_and_slashes_in_names(tmp_path: Path) -> None:
    data = tmp_path / "fgvc-aircraft-2013b/data"
    (data / "images").mkdir(parents=True)
    (data / "variants.txt").write_text("F/A-18\nA320\n")
    for number, split in enumerate(("train", "val", "test")):
        photo(data / f"images/{number}.jpg")
        (data / f"images_variant_{split}.txt").write_text(f"{number} F/A-18\n")
    assert [sample[:2] for sample in samples("fgvc_aircraft", tmp_path)] == [
        ("train", "F-A-18"),
        ("validation", "F-A-18"),
        ("test", "F-A-18"),
    ]


def test_caltech101(tmp_path: Path) -> None:
    root = tmp_path / "caltech101/101_ObjectCategories"
    expected = [("", label, photo(root / f"{label}/image_{number:04d}.jpg")) for label in ("ant", "bonsai") for number in (1, 2)]
    (root / "BACKGROUND_Google").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        no_download(patch, "Caltech101")
        assert samples("caltech101", tmp_path) == expected


def test_gtsrb(tmp_path: Path) -> None:
    first = photo(tmp_path / "gtsrb/GTSRB/Training/00000/a.ppm")
    second = photo(tmp_path / "gtsrb/GTSRB/Training/00001/b.ppm")
    third = photo(tmp_path / "gtsrb/GTSRB/Final_Test/Images/c.ppm")
    (tmp_path / "gtsrb/GT-final_test.csv").write_text("Filename;ClassId\nc.ppm;1\n")
    expected = [("train", "00", first), ("train", "01", second), ("test", "01", third)]
    assert [(split, label, Path(str(path))) for split, label, path in samples("gtsrb", tmp_path)] == expected


def idx(values: np.ndarray) -> bytes:
    return struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def test_fashionmnist(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    pixels = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
    for prefix in ("train", "t10k"):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.array([0, 9], np.uint8)))
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(b""))
    found = samples("fashionmnist", tmp_path)
    assert [sample[:2] for sample in found] == [
        ("train", "T-shirt-top"),
        ("train", "Ankle boot"),
        ("test", "T-shirt-top"),
        ("test", "Ankle boot"),
    ]
    image = found[1][2]
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image), pixels[1])


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": [0, 1]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", ""]])
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    found = samples("cifar10", tmp_path)
    assert [sample[:2] for sample in found] == [
        ("train", "airplane"),
        ("train", "automobile"),
        ("test", "airplane"),
        ("test", "automobile"),
    ]
    assert isinstance(found[0][2], Image.Image)
    assert np.array_equal(np.asarray(found[0][2]), pixels[0].reshape(3, 32, 32).transpose(1, 2, 0))


def test_every_set_is_a_class_of_torchvision_with_the_arguments_we_give() -> None:
    """Each maker gets as far as the download with arguments that the class accepts."""
    import inspect

    from torchvision import datasets

    kinds = {}

    def record(kind: str, root: Path, **arguments: object) -> list[object]:
        kinds[kind] = inspect.signature(getattr(datasets, kind)).bind(str(root), download=True, **arguments)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(public_sets, "_make", record)
        for make in public_sets.SETS.values():
            assert list(make(Path("root"))) == []
    assert len(kinds) == len(public_sets.SETS)


def test_unknown_names_list_the_known(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"torchvision:imagenet is unknown; known are torchvision:caltech101, .*torchvision:usps"):
        public_sets.load("imagenet", tmp_path)


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    for name in ("dtd", "flowers102", "cifar10", "fashionmnist", "oxford_iiit_pet"):
        with pytest.raises(
            HeadstartError, match=r"could not be downloaded .*; check the network, or download and unpack it elsewhere"
        ) as caught:
            list(public_sets.load(name, tmp_path / name))
        assert caught.value.exit_code == 1
