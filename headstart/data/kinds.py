"""What a file is that is no picture Headstart reads: its kind by its first bytes, and what to do about it.

A new kind is a line in _STARTS or _BRANDS.
"""

from __future__ import annotations

import re
from functools import cache
from typing import IO, Any

HEAD = 512  # bytes that tell a kind

_CONVERT = "convert it to JPEG or PNG"
_DICOM = "a DICOM file: export its picture as PNG or TIFF"
_RAW = f"camera raw: develop it, that is, {_CONVERT}"
_VIDEO = "a video: take single pictures out of it (ffmpeg -i VIDEO picture_%05d.png)"
_PDF = f"a PDF: {_CONVERT} (pdftoppm -png)"
_SVG = "an SVG drawing: draw it as PNG (rsvg-convert)"
_JXL = f"JPEG XL: {_CONVERT} (djxl)"
_ARCHIVE = "an archive: unpack it, or import it by itself"
_ARRAY = "an array of numbers: save it as PNG or TIFF"
_FITS = "a FITS file: save its picture as PNG or TIFF"
_EPS = f"PostScript: {_CONVERT}"
_DOCUMENT = "an office document: save its pictures as files"
_HTML = "a web page, perhaps of a failed download: download it again"
_XML = "text (XML), no image"
LFS = "a git-lfs pointer, not the file itself: run git lfs pull, then import again"
_ANNEX = "a git-annex pointer, not the file itself: run git annex get, then import again"
_HEIC = f"HEIC: install Headstart with its plug-in (pip install 'headstart[heic]'), or {_CONVERT}"
_MICROSCOPE = "a microscope's or scanner's file: export its pictures as PNG or TIFF (Fiji, QuPath)"
_OTHER_CODEC = f"a picture in a format that is not read: {_CONVERT}"
_TABLE = "a table or a file of records: save its pictures as files"
_BASE64 = "a picture written as text (base64): decode it into a file"
ZERO_BYTES, NO_IMAGE, BROKEN = "zero bytes", "not an image", "broken image data"
USUAL = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")  # how usual photos begin
_ZEROS = f"{NO_IMAGE} but zeros, as a broken copy or a failed download leaves: copy or download it again"
NOTHING = frozenset([ZERO_BYTES, NO_IMAGE, _XML, _HTML, _ZEROS, _ARCHIVE, _DOCUMENT, _TABLE])  # in a file whose name promises no picture
_HDR = f"a high dynamic range picture: {_CONVERT}, or to a TIFF of one grey channel"

_STARTS: list[tuple[bytes, str]] = [
    (b"version https://git-lfs", LFS),
    (b"/annex/objects/", _ANNEX),
    (b"../.git/annex/objects/", _ANNEX),
    (b"%PDF", _PDF),
    (b"%!PS", _EPS),
    (b"\xc5\xd0\xd3\xc6", _EPS),
    (b"\xff\x0a", _JXL),
    (b"\0\0\0\x0cJXL ", _JXL),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"IIU\0", _RAW),
    (b"\0MRM", _RAW),
    (b"FOVb", _RAW),
    (b"II\x1a\0\0\0HEAPCCDR", _RAW),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"\0\0\1\xba", _VIDEO),
    (b"\0\0\1\xb3", _VIDEO),
    (b"FLV\1", _VIDEO),
    (b"OggS", _VIDEO),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (b"\0\0\0\x08wide", _VIDEO),
    (b"PK\3\4", _ARCHIVE),
    (b"PK\5\6", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"\x93NUMPY", _ARRAY),
    (b"\x89HDF\r\n\x1a\n", _ARRAY),
    (b"MATLAB 5.0", _ARRAY),
    (b"SIMPLE  =", _FITS),
    (b"\x76\x2f\x31\x01", _HDR),
    (b"#?RADIANCE", _HDR),
    (b"#?RGBE", _HDR),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _DOCUMENT),
    (b"gimp xcf", f"a GIMP project: {_CONVERT}"),
    (b"8BPS\0\2", f"a large Photoshop document (PSB): {_CONVERT}"),
    (b"icns", f"a macOS icon: {_CONVERT}"),
    (b"AT&TFORM", f"DjVu: {_CONVERT}"),
    (b"\xd7\xcd\xc6\x9a", f"a Windows metafile: {_CONVERT}"),
    (b"ZISRAWFILE", _MICROSCOPE),
    (b"\xda\xce\xbe\x0a", _MICROSCOPE),
    (b"BPG\xfb", _OTHER_CODEC),
    (b"FLIF", _OTHER_CODEC),
    (b"II\xbc", _OTHER_CODEC),
    (b"\xabKTX", _OTHER_CODEC),
    (b"\x8aMNG", _OTHER_CODEC),
    (b"\x8bJNG", _OTHER_CODEC),
    (b"SDPX", _OTHER_CODEC),
    (b"XPDS", _OTHER_CODEC),
    (b"\x59\xa6\x6a\x95", _OTHER_CODEC),
    (b"P7\n", _OTHER_CODEC),
    (b"PF\n", _HDR),
    (b"NRRD", _ARRAY),
    (b"PAR1", _TABLE),
    (b"SQLite format 3", _TABLE),
    (b"/9j/4A", _BASE64),
    (b"iVBORw0KGgo", _BASE64),
    (b"data:image/", _BASE64),
]
_FIRST = frozenset(start[0] for start, _ in _STARTS) | frozenset(
    b"<\xef \t\r\n"
)  # of what may be one of these, so that photos cost nothing
_BRANDS = {  # of a file that begins with a box "ftyp"
    **dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx", "heif", "mif1", "msf1", "MiHE"), _HEIC),
    **dict.fromkeys(("crx ",), _RAW),
    **dict.fromkeys(("avif", "avis"), "AVIF, which this installation of Pillow cannot read: upgrade Pillow, or " + _CONVERT),
    **dict.fromkeys(("jxl ",), _JXL),
    **dict.fromkeys(("jp2 ", "jpx ", "jpm "), ""),
}
_SUFFIXES = {
    **dict.fromkeys((".dcm", ".dicom", ".dic"), _DICOM),
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIC),
    **dict.fromkeys((".jxl",), _JXL),
    **dict.fromkeys((".pdf",), _PDF),
    **dict.fromkeys((".svg", ".svgz"), _SVG),
    **dict.fromkeys((".eps", ".ps", ".ai"), _EPS),
    **dict.fromkeys((".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef"), _RAW),
    **dict.fromkeys((".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mrw", ".mef", ".mos", ".erf", ".kdc", ".dcr", ".rwl", ".raw", ".gpr"), _RAW),
    **dict.fromkeys((".vob", ".ogv", ".asf", ".mxf", ".hevc", ".h264", ".h265", ".264", ".265", ".dav", ".mjpg", ".mjpeg"), _VIDEO),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts"), _VIDEO),
    **dict.fromkeys((".npy", ".npz", ".h5", ".hdf5", ".mat", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".zarr"), _ARRAY),
    **dict.fromkeys(
        (".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi", ".lsm", ".ims", ".mrc", ".mrxs", ".ndpi", ".svs", ".scn", ".bif"), _MICROSCOPE
    ),
    **dict.fromkeys(
        (".bpg", ".flif", ".jxr", ".wdp", ".hdp", ".ktx", ".mng", ".jng", ".dpx", ".cin", ".pam", ".ras", ".xbm", ".xpm"), _OTHER_CODEC
    ),
    **dict.fromkeys(
        (".cur", ".emf", ".wmf", ".sid", ".ecw", ".kra", ".ora", ".clip", ".afphoto", ".xcf", ".psb", ".djvu", ".icns"), _OTHER_CODEC
    ),
    **dict.fromkeys((".parquet", ".tfrecord", ".tfrecords", ".arrow", ".lmdb", ".mdb"), _TABLE),
    **dict.fromkeys((".fits", ".fit", ".fts"), _FITS),
    **dict.fromkeys((".exr", ".hdr", ".pfm"), _HDR),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz"), _ARCHIVE),
    **dict.fromkeys((".html", ".htm"), _HTML),
}
RAW_TAGS = (33422, 50706, 37398, 50740)  # CFA pattern, version of DNG, pattern of TIFF/EP, private data of DNG


def by_head(head: bytes, name: str = "") -> str:
    """What a file is by its first HEAD bytes, if that is no picture; "" otherwise. Of an archive `name` may tell what is in it (.svgz).

    Called before any decoder sees the file: some would take noise for a picture.
    """
    if head[4:8] == b"ftyp":
        brand = head[8:12].decode("latin1")
        if _BRANDS.get(brand) == _HEIC:
            return "" if b"avif" in head[8:64] or heic() else _HEIC
        return "" if brand in ("avif", "avis") else _BRANDS.get(brand, _VIDEO)
    if head[:4] == b"RIFF" and head[8:12] != b"WEBP":
        return _VIDEO if head[8:12] in (b"AVI ", b"AVIX", b"RMID") else ""
    if head[128:132] == b"DICM":
        return _DICOM
    if head[:2] in (b"II", b"MM") and head[8:10] == b"CR":
        return _RAW
    if head[:1] and head[0] in _FIRST:
        what = next((what for start, what in _STARTS if head.startswith(start)), "") or _text(head)
        return by_suffix(name.lower().removesuffix(".gz")) or what if what == _ARCHIVE else what
    return ""


def otherwise(file: IO[bytes], head: bytes, name: str) -> str:
    """What a file is that no decoder takes: by the end of its name, else by what its first HEAD bytes look like."""
    if said := by_suffix(name):
        return said
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return of_tiff(file) or BROKEN
    if head.startswith(USUAL):
        return BROKEN
    if not head.strip(b"\0"):
        return _ZEROS
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":  # packets of a transport stream
        return _VIDEO
    if head[:4] in (b"\x08\0\x05\0", b"\x08\0\0\0", b"\x08\0\x08\0"):  # the first tags of a DICOM file without its preamble
        return _DICOM
    if head[:4] == b"\1\0\0\0" and head[40:44] == b" EMF":
        return _OTHER_CODEC
    return NO_IMAGE


def by_suffix(name: str) -> str:
    """What a file that no decoder takes is by the end of its name; "" if that says nothing."""
    return _SUFFIXES.get(_suffix(name), "")


def _suffix(name: str) -> str:
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem else ""


def _text(head: bytes) -> str:
    """Drawings and pages are text, and may begin with blanks, a byte order mark or a comment."""
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not begins.startswith(b"<"):
        return ""
    if re.search(rb"<svg[\s>]", begins):
        return _SVG
    return _HTML if re.match(rb"<(!doctype html|html|head|body)\b", begins) else _XML


def is_raw(tags: Any) -> bool:
    """Whether the first directory of a TIFF is that of a camera's raw file: a sensor's pattern, or only a small preview."""
    preview = int(tags.get(254, 0)) & 1 and 330 in tags  # a picture of reduced size, and others below it
    return bool(preview) or int(tags.get(262, 0)) in (32803, 34892) or any(tag in tags for tag in RAW_TAGS)


def of_tags(tags: Any) -> str:
    """Why a TIFF that Pillow reads is not used: a camera's raw file, or signed bytes, which it takes for unsigned; "" for pictures."""
    if is_raw(tags):
        return _RAW
    first = [value[0] if isinstance(value, tuple) and value else value for value in (tags.get(339, 1), tags.get(258, 1))]
    return "a TIFF in signed whole numbers of 8 bits: save it as 8 or 16 bits, whole numbers" if first == [2, 8] else ""


def of_tiff(file: IO[bytes]) -> str:
    """Why a TIFF that no decoder takes cannot be read: its channels and their type. "" if it does not even say that."""
    from PIL import TiffImagePlugin

    try:
        file.seek(0)
        head = file.read(8)
        if head[2:4] in (b"+\0", b"\0+"):
            head += file.read(8)
        tags = TiffImagePlugin.ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
        if is_raw(tags):
            return _RAW
        bands, bits, kinds = int(tags.get(277, 1)), tags.get(258, (1,)), tags.get(339, (1,))
        bits, kind = (bits if isinstance(bits, tuple) else (bits,)), (kinds[0] if isinstance(kinds, tuple) else kinds)
        compression = int(tags.get(259, 1))
        if 256 not in tags:  # no width, so none of the rest means anything
            return ""
    except Exception:
        return ""
    numbers = {1: "whole", 2: "signed whole", 3: "floating-point", 5: "complex", 6: "complex"}.get(kind, "undefined")
    if kind not in (1, 4) or max(bits) > 16:
        what = {1: "one channel", 3: "RGB", 4: "RGBA or CMYK"}.get(bands, f"{bands} bands")
        return f"a TIFF of {what} in {numbers} numbers of {max(bits)} bits: save it as 8 or 16 bits, whole numbers"
    if bands not in (1, 3, 4) or len(set(bits)) > 1:
        return f"a TIFF of {bands} bands: choose one band (grey) or three (RGB) and save them as PNG or TIFF"
    return f"a TIFF of a kind that is not read ({bands} bands, {max(bits)} bits, compression {compression}): {_CONVERT}"


@cache
def heic() -> bool:
    """Whether HEIC can be read: whether its plug-in, the extra `heic`, is installed. The first call makes it known to Pillow."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
