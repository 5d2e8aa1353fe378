"""What a model says of a picture that a person hands over, and what it looked at."""

from __future__ import annotations

import base64
import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict

from PIL import Image

from headstart.data import images
from headstart.evaluation import occlusion
from headstart.features.transforms import View
from headstart.machinery.errors import HeadstartError
from headstart.networks import cards
from headstart.report.darkened import darkened

if TYPE_CHECKING:
    from flows.trying.alike import Known
    from headstart.features.predict import Ready

SHOWN, SMALL = 720, 160  # pixels of a picture, longer side


class Facts(TypedDict):
    """What the page says of the model before it is asked."""

    title: str
    classes: list[str]
    heat: bool  # whether it can show what the network looked at


class Near(TypedDict):
    """A training image that is like the picture."""

    path: str
    label: str
    alike: float  # cosine, at most 1
    picture: str


class Said(TypedDict):
    """An answer. `picture`, and those of the nearest, are data URLs."""

    error: str  # why there is no answer; "" if there is one
    remark: NotRequired[str]  # what to know of the picture
    label: NotRequired[str]
    probability: NotRequired[float]
    ranked: NotRequired[list[tuple[str, float]]]
    unsure: NotRequired[bool | None]
    unlike: NotRequired[bool | None]
    picture: NotRequired[str]
    nearest: NotRequired[list[Near]]
    why_none_near: NotRequired[str]


class Trial:
    """A model that pictures are handed to, one after the other."""

    def __init__(self, ready: Ready, folder: Path, near: Known | None) -> None:
        self.ready, self.folder, self.near = ready, folder, near
        self.view = View.of_card(ready.card)

    @classmethod
    def of(cls, folder: Path) -> Trial:
        """The model in `folder`. Raises HeadstartError if it is missing or broken."""
        cards.check_there(folder)
        from flows.trying import alike
        from headstart.features.predict import Ready

        ready = Ready.of(folder, features=True)
        return cls(ready, folder, alike.known(ready, folder))

    def facts(self) -> Facts:
        """What the page says of the model."""
        classes = list(self.ready.card.classes)
        return {"title": f"{self.folder}: {self.ready.card.architecture}", "classes": classes, "heat": len(classes) > 1}

    def ask(self, content: bytes, name: str) -> Said:
        """The answer for a picture, given as the bytes of a file, by the code of `headstart predict`. `name`: the file's, of which only the ending counts."""
        with tempfile.TemporaryDirectory(prefix="headstart-try-") as place:
            path = Path(place) / f"picture{_ending(name)}"
            path.write_bytes(content)
            try:
                square = self.ready.read(path)
            except (images.Unreadable, OSError) as error:
                return {"error": str(error)}
            found = self.ready.frozen.engine.run(square[None])
            answer = self.ready.of_seen(path, square, found)
            picture = _url(images.open_image(path, near=SHOWN, scale=self.view.grey), SHOWN)
        near = self._nearest(found[:, len(self.ready.card.classes) :])
        return {
            "error": "",
            "remark": answer.error,
            "label": answer.label,
            "probability": answer.probability or 0.0,
            "ranked": list(answer.ranked),
            "unsure": answer.unsure,
            "unlike": answer.unlike,
            "picture": picture,
            "nearest": near,
            "why_none_near": "" if self.near else "The images that this model was made from are not here.",
        }

    def look(self, content: bytes, label: str) -> str:
        """The picture with what counted for a class left bright, as a data URL. Raises HeadstartError for a class or a picture that there is not."""
        classes = self.ready.card.classes
        if label not in classes:
            raise HeadstartError(f"the model has no class {label!r}")
        try:
            square, image = self.ready.read(content), images.open_image(content, near=SHOWN, scale=self.view.grey)
        except images.Unreadable as error:
            raise HeadstartError(str(error)) from None
        found = occlusion.heat(self.ready.frozen.engine, square, classes.index(label), len(classes))
        image.thumbnail((SHOWN, SHOWN))
        return _url(darkened(image, self.view.crop, found), SHOWN)

    def _nearest(self, features: object) -> list[Near]:
        import numpy as np

        if self.near is None:
            return []
        near: list[Near] = []
        for row in self.near.nearest(np.asarray(features)).itertuples():
            try:
                picture = _url(images.open_image(self.near.root / str(row.path), 2**31, near=SMALL, scale=self.view.grey), SMALL)
            except images.Unreadable:
                picture = ""
            near.append({"path": str(row.path), "label": str(row.label), "alike": round(float(str(row.alike)), 4), "picture": picture})
        return near


def _ending(name: str) -> str:
    """How the name of a file ends, if it ends in letters and digits: predict looks at it for a few kinds of file."""
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
    return found.group() if found else ""


def _url(image: Image.Image, side: int) -> str:
    """A picture as a data URL, at most `side` pixels wide and high."""
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
