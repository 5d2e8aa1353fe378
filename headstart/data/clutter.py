"""What lies among photos and is none, by its name: the one list that import, prediction and every walk go by.

photos.py also looks into files whose names say nothing.

Bookkeeping is what systems leave behind (thumbnails and bins of NAS boxes, Windows, macOS, cameras): passed over without a word, and no
class. Sidecars are files about photos (.xml, .json, .xmp): left out too, but counted and said.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from headstart.machinery import terminal

_BOOKKEEPING = frozenset(
    # macOS
    ["__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder", "desktop db", "desktop df"]
    # Windows
    + ["thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycle.bin"]
    + ["system volume information", "found.000", "msocache", "folder.ini", "picasa.ini"]
    # Synology, QNAP, Asustor, TerraMaster, Buffalo, Netgear, NetApp
    + ["@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp", "@transcode", "@sharebin", "@synologydrive"]
    + ["@qts_thumb", "@appstore", "~snapshot", "network recycle bin", "lost+found", "aquota.user", "aquota.group"]
    # cameras and their programs
    + ["canonmsc", "autprint.mrk", "zbthumbnail.info", "pspbrwse.jbf", "avf_info", "nikon001.dsc", "ncspclst.dat", "sonycard.ind"]
    # tools that copy, sync and develop
    + ["_gsdata_", "captureone", "nksc_param", "wpsettings.dat", "indexervolumeguid"]
    # notebooks and version control
    + ["__pycache__", "node_modules"]
)
_EXACT = frozenset(["RECYCLER", "RECYCLED"])  # of Windows; in small letters they may be classes of waste
_LEFT = re.compile(
    r"~\$.*|@eadir.*|synoeastream.*|.*@synoeastream|.*@synoresource|.*\.(ctg|thm|lrv|tmp|part|partial|crdownload|swp)"
    r"|.*zone\.identifier|.*~|#.*#|.*\.ffs_(db|lock|tmp)|.*\.lock|albumart(small|_\{.*\}_(small|large))\.jpg|sync\.ffs_db"
)
SIDECARS = frozenset(
    [".xml", ".txt", ".json", ".jsonl", ".xmp", ".aae", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".md", ".rst", ".log", ".ini", ".cfg"]
    + [".pp3", ".dop", ".cos", ".on1", ".nksc", ".arp", ".dxo", ".gpx", ".kml", ".srt", ".vtt", ".url", ".lnk", ".webloc", ".md5", ".sha1"]
    + [".sha256", ".sfv", ".nfo", ".db", ".sqlite", ".dvc", ".py", ".ipynb", ".sh", ".bat", ".doc", ".docx", ".odt", ".xls", ".xlsx"]
    + [".ods", ".rtf", ".tex", ".bib", ".wld", ".tfw", ".jgw", ".pgw", ".aux", ".prj", ".pkl", ".pt", ".pth", ".names", ".data", ".lst"]
    + [".imagemeta", ".cff", ".bak", ".orig", ".thumb", ".license", ".manifest"]
)

BESIDE = frozenset(  # folders that people have beside class folders: passed over, and said, if no photo is in them
    ["annotations", "annotation", "labels", "label", "xml", "xmls", "json", "txt", "csv", "meta", "metadata", "docs", "doc", "splits"]
    + ["imagesets", "lists", "sidecars", "scripts", "code", "checkpoints", "logs"]
)


def is_bookkeeping(name: str) -> bool:
    """Whether a file or folder of this name is bookkeeping of some system rather than data."""
    small = name.lower()
    return name.startswith(".") or small in _BOOKKEEPING or name in _EXACT or _LEFT.fullmatch(small) is not None


def is_sidecar(name: str) -> bool:
    """Whether a file of this name says something about photos, and is none."""
    return PurePath(name).suffix.lower() in SIDECARS


def kinds(names: Iterable[str]) -> str:
    """Sidecars by the ends of their names, the commonest first: 3 .xml, 1 .txt."""
    counts = Counter(terminal.name(PurePath(name).suffix.lower() or PurePath(name).name) for name in names)
    return ", ".join(f"{number:,} {end}" for end, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def walk(folder: Path) -> Iterator[Path]:
    """The files below a folder in sorted order, folder by folder; bookkeeping is passed over, and links to folders are not followed.

    Sidecars, pipes and devices are among them: the caller says what becomes of them. Raises the OSError of a folder that cannot be listed.
    """
    waiting = [(folder, True)]
    while waiting:
        here, is_folder = waiting.pop()
        if not is_folder:
            yield here
            continue
        with os.scandir(here) as entries:
            found = sorted((entry for entry in entries if not is_bookkeeping(entry.name)), key=lambda entry: entry.name, reverse=True)
        for entry in found:
            if entry.is_dir(follow_symlinks=False) or not entry.is_dir():
                waiting.append((Path(entry.path), entry.is_dir(follow_symlinks=False)))
