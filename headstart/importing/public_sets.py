"""Public data sets that torchvision can download, as labelled image files.

A new one is a line in SETS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.machinery.progress import Progress


class Sample(NamedTuple):
    """One image: a file, or a PIL image if the set keeps arrays."""

    split: str  # "train", "validation", "test", or "" if the set has none
    label: str
    image: Any  # Path or PIL.Image.Image


Part = tuple[str, dict[str, Any]]  # a split, and the arguments that make torchvision's class give it
Set = Callable[[Path], Iterator[Sample]]


def load(name: str, root: Path) -> Iterator[Sample]:
    """The samples of the set `name`, downloaded into `root` if they are not there yet.

    They count as there if they lie in `root` in torchvision's own layout. Raises ParamsError for an unknown name and HeadstartError when
    the download fails.
    """
    known = {_plain(key): make for key, make in SETS.items()}
    if _plain(name) not in known:
        raise ParamsError(f"torchvision:{name} is unknown; known are {', '.join(f'torchvision:{key}' for key in SETS)}")
    root.mkdir(parents=True, exist_ok=True)
    return known[_plain(name)](root)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _by_file(kind: str, *parts: Part, file: Callable[[Any, int], Any] | None = None) -> Set:
    """A set of image files.

    They are copied as they are: `file` finds the path of a sample if the class takes no loader.
    """

    def samples(root: Path) -> Iterator[Sample]:
        for split, arguments in parts:
            extra = {} if file else {"loader": Path}
            yield from _samples(_make(kind, root, **arguments, **extra), kind, split, file)

    return samples


def _by_array(kind: str, *parts: Part) -> Set:
    """A set that keeps its images in arrays; each becomes a PIL image."""

    def samples(root: Path) -> Iterator[Sample]:
        for split, arguments in parts:
            yield from _samples(_make(kind, root, **arguments), kind, split, None)

    return samples


def _make(kind: str, root: Path, **arguments: Any) -> Any:
    from torchvision import datasets

    try:
        return getattr(datasets, kind)(str(root), download=True, **arguments)
    except Exception as error:
        raise HeadstartError(
            f"torchvision's {kind} could not be downloaded ({type(error).__name__}: {' '.join(str(error).split())}); check the network, "
            "or download and unpack it elsewhere and run `headstart import FOLDER`"
        ) from error


def _samples(data: Any, kind: str, split: str, file: Callable[[Any, int], Any] | None) -> Iterator[Sample]:
    names = getattr(data, "classes", None) or getattr(data, "categories", None)
    with Progress(len(data), f"copying {kind} {split}".rstrip()) as progress:
        for number in range(len(data)):
            image, target = (Path(file(data, number)), _target(data, number)) if file else data[number]
            yield Sample(split, _name(names, int(target)), image)
            progress.step()


def _target(data: Any, number: int) -> int:
    """The class number of a sample of a set that opens its files itself.

    The labels of such a set can be read without opening a file.
    """
    for name in ("_labels", "y"):
        if hasattr(data, name):
            return int(getattr(data, name)[number])
    return int(data._samples[number][1])


def _name(names: Any, target: int) -> str:
    """The name of a class in a form that a folder can have.

    The number if the set has no names, the first name if there are several, and no slashes.
    """
    if not names:
        return f"{target:02d}"
    name = names[target]
    return (name if isinstance(name, str) else name[0]).strip().replace("/", "-").replace("\\", "-")


def _caltech_file(data: Any, number: int) -> Path:
    folder = data.categories[data.y[number]]
    return Path(data.root) / "101_ObjectCategories" / folder / f"image_{data.index[number]:04d}.jpg"


def _splits(*names: str) -> list[Part]:
    """Parts for a class with a `split` argument, from the names it has for train, (validation,) test."""
    ours = ("train", "validation", "test") if len(names) == 3 else ("train", "test")
    return [(split, {"split": name}) for split, name in zip(ours, names, strict=True)]


_TRAIN_FLAG: list[Part] = [("train", {"train": True}), ("test", {"train": False})]
_WHOLE: list[Part] = [("", {})]
SETS: dict[str, Set] = {
    "caltech101": _by_file("Caltech101", *_WHOLE, file=_caltech_file),
    "cifar10": _by_array("CIFAR10", *_TRAIN_FLAG),
    "cifar100": _by_array("CIFAR100", *_TRAIN_FLAG),
    "country211": _by_file("Country211", *_splits("train", "valid", "test")),
    "dtd": _by_file("DTD", *_splits("train", "val", "test")),
    "eurosat": _by_file("EuroSAT", *_WHOLE),
    "fashionmnist": _by_array("FashionMNIST", *_TRAIN_FLAG),
    "fgvc_aircraft": _by_file("FGVCAircraft", *_splits("train", "val", "test")),
    "flowers102": _by_file("Flowers102", *_splits("train", "val", "test")),
    "food101": _by_file("Food101", *_splits("train", "test")),
    "gtsrb": _by_file("GTSRB", *_splits("train", "test"), file=lambda data, number: data._samples[number][0]),
    "imagenette": _by_file("Imagenette", *_splits("train", "val")),
    "kmnist": _by_array("KMNIST", *_TRAIN_FLAG),
    "mnist": _by_array("MNIST", *_TRAIN_FLAG),
    "oxford_iiit_pet": _by_file("OxfordIIITPet", *_splits("trainval", "test"), file=lambda data, number: data._images[number]),
    "stl10": _by_array("STL10", *_splits("train", "test")),
    "sun397": _by_file("SUN397", *_WHOLE),
    "svhn": _by_array("SVHN", *_splits("train", "test")),
    "usps": _by_array("USPS", *_TRAIN_FLAG),
}
