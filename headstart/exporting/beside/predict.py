"""Label images with model.onnx: python predict.py PHOTO_OR_FOLDER... > labels.csv (pip install onnxruntime pillow numpy)"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def load(path: Path) -> tuple[Any, dict[str, Any]]:
    """The model, and what it says of itself: classes, factors, near, unsure, unlike, card."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session, {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}


def pixels(path: Path, near: int) -> np.ndarray:
    """A photo as uint8 (height, width, 3), upright, transparency over white. A large JPEG is decoded at a reduced scale, never below `near`."""
    with Image.open(path) as image:
        image.draft(None, (near, near))  # type: ignore[arg-type]
        raw = [part for tile in getattr(image, "tile", ()) for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))]
        many = any(str(part)[-4:-1] == ";16" or (image.format == "PPM" and isinstance(part, int) and part > 255) for part in raw)
        if many or image.mode.startswith("I") or image.mode == "F":
            raise ValueError("more than 8 bits a channel; save it with 8, on the scale that the card names as grey")
        upright = ImageOps.exif_transpose(image)
        if not upright.has_transparency_data:
            return np.asarray(upright.convert("RGB"))
        clear, white = upright.convert("RGBA"), Image.new("RGB", upright.size, "white")
        white.paste(clear, mask=clear.getchannel("A"))
        return np.asarray(white)


def answer(session: Any, facts: dict[str, Any], picture: np.ndarray) -> tuple[str, float, str, str]:
    """Label, its probability, and yes or no: unsure (leave it to a person), unlike (none of the classes); "" if the model cannot tell."""
    probabilities, distance = session.run(None, {"picture": picture})
    weighed = probabilities * np.array(facts["factors"])
    best, told = int(weighed.argmax()), {None: "", True: "yes", False: "no"}
    unsure = None if facts["unsure"] is None else bool(weighed.max() / max(weighed.sum(), 1e-12) < facts["unsure"])
    unlike = None if facts["unlike"] is None else bool(distance > facts["unlike"])
    return facts["classes"][best], float(probabilities[best]), told[unsure], told[unlike]


def main(arguments: list[str]) -> None:
    """Write a line of CSV for every file."""
    session, facts = load(Path(__file__).with_name("model.onnx"))
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["path", "label", "probability", "error", "unsure", "unlike"])
    for given in map(Path, arguments):
        for path in sorted(one for one in given.rglob("*") if one.is_file()) if given.is_dir() else [given]:
            try:
                label, probability, unsure, unlike = answer(session, facts, pixels(path, facts["near"]))
            except (OSError, ValueError, SyntaxError) as error:
                out.writerow([path, "", "", error, "", ""])
                continue
            out.writerow([path, label, f"{probability:.6f}", "", unsure, unlike])


if __name__ == "__main__":
    main(sys.argv[1:])
