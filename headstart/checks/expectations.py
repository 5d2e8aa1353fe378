"""What is expected of the data: one list, and the columns and sentences that its entries need.

To add an expectation, add one `Check` to CHECKS. An entry names a Great Expectations class, the column it looks at, its arguments, how
bad a
failure is, what is expected in words, why, and what to do. A column the manifest lacks is computed by the entry's `values`.
Nothing here imports Great Expectations: the list is data, headstart/checks/validation.py runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headstart.checks import columns, of_batches, of_no_labels, of_unlabelled, sentences
from headstart.checks.check import Check as Check
from headstart.checks.check import Limits as Limits
from headstart.data.settings import no_labels
from headstart.words import formats, lists

if TYPE_CHECKING:
    import pandas as pd

PLAIN_MODES = ("RGB", "L")
MAX_ASPECT = 4.0  # longer side / shorter side; beyond it, a square network input keeps little of the image


CHECKS: list[Check] = [
    Check(
        name="usable_images",
        labels=False,
        severity="critical",
        expectation="ExpectColumnDistinctValuesToContainSet",
        column="readable",
        arguments=lambda limits: {"value_set": [True]},
        expected=lambda limits: "at least one file is a usable image",
        why="an empty table would pass every other check",
        found=sentences.none,
        remedy="Import a folder of images: headstart import PATH.",
    ),
    Check(
        name="two_classes",
        severity="critical",
        expectation="ExpectColumnUniqueValueCountToBeBetween",
        column="usable_label",
        values=columns.usable_label,
        arguments=lambda limits: {"min_value": 2},
        expected=lambda limits: "usable images belong to two classes or more",
        why="with one class there is nothing to tell apart",
        found=sentences.classes,
        remedy="Give each class a folder of its own: data/images/CLASS/FILE.",
    ),
    Check(
        name="images_per_class",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="images_of_class",
        values=columns.images_of_class,
        arguments=lambda limits: {"min_value": limits.min_images_per_class},
        expected=lambda limits: (
            f"every class has at least {formats.count(limits.min_images_per_class, 'usable image')} (validate_data.min_images_per_class)"
        ),
        why="fewer cannot be spread over three splits and still teach or prove anything",
        found=sentences.few,
        remedy="Add images to these classes, merge them into others, or remove their folders.",
    ),
    Check(
        name="classes_in_every_split",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_lacking",
        values=columns.splits_lacking,
        arguments=lambda limits: {"max_value": 0},
        expected=lambda limits: f"every class has usable images in {lists.listing(columns.SPLITS)}",
        why="a class that a split lacks is not learned, not tuned for, or not measured",
        found=sentences.missing,
        remedy="Add images of these classes to those splits, or leave the split folders out and have the splits cut for you.",
    ),
    Check(
        name="classes_without_test",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="untested",
        values=columns.untested,
        arguments=lambda limits: {"max_value": 0},
        expected=lambda limits: "every class has an image for each split",
        why="a class of two images trains and validates, and nothing is left to test it",
        found=sentences.untested,
        remedy="Their accuracy is not measured; add images of these classes.",
    ),
    Check(
        name="labels_that_differ",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="spellings",
        values=columns.spellings,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no two labels differ only in upper and lower case",
        why="they are most likely one class, and they collide on file systems that ignore case",
        found=sentences.spellings,
        remedy="Merge the folders, or give them different names.",
    ),
    Check(
        name="same_pixels_in_two_splits",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_of_pixels",
        values=columns.spread("pixels_sha256", "split"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no image lies in two splits (same decoded pixels)",
        why="an image that is trained on and tested on makes the test result too good",
        found=sentences.copies("split", "pixels_sha256", "identical images"),
        remedy="Keep each image in one split and delete the copies.",
        together="pixels_sha256",
    ),
    Check(
        name="same_pixels_under_two_labels",
        severity="critical",
        expectation="ExpectColumnValuesToBeBetween",
        column="labels_of_pixels",
        values=columns.spread("pixels_sha256", "label"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "no image lies under two labels (same decoded pixels)",
        why="at least one of the labels is wrong, and no model can satisfy both",
        found=sentences.copies("label", "pixels_sha256", "identical images"),
        remedy="Keep each image under its right label and delete the other copies.",
        together="pixels_sha256",
    ),
    Check(
        name="unreadable_share",
        labels=False,
        severity="critical",
        expectation="ExpectColumnValuesToBeInSet",
        column="readable",
        # the billionth keeps 1 - 0.7 = 0.30000000000000004 from refusing a share that is exactly allowed
        arguments=lambda limits: {"value_set": [True], "mostly": max(0.0, 1 - limits.max_unreadable_share - 1e-9)},
        expected=lambda limits: (
            f"at most {formats.percent_of_data(limits.max_unreadable_share)} of the files are unreadable (validate_data.max_unreadable_share)"
        ),
        why="more means a broken copy or a folder that holds something else",
        found=sentences.unreadable,
        remedy="Copy the data again, remove what is no image, or raise validate_data.max_unreadable_share.",
    ),
    Check(
        name="unreadable_files",
        labels=False,
        severity="warning",
        expectation="ExpectColumnValuesToBeInSet",
        column="readable",
        arguments=lambda limits: {"value_set": [True]},
        expected=lambda limits: "every file is readable",
        why="unreadable files are set aside and listed, never silently dropped",
        found=sentences.unreadable,
        remedy="They are left out; replace or remove them.",
    ),
    Check(
        name="groups_in_two_splits",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_of_together",
        values=columns.splits_of_together,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "images that belong together lie in one split",
        why="a model that has seen a patient, camera or piece in training knows it again in the test, so the test result is too good",
        found=sentences.cut_groups,
        remedy="The split that came with the data cuts them; leave it out and have the splits drawn, which keeps groups whole.",
        together="together",
    ),
    Check(
        name="near_duplicates_in_two_splits",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="splits_of_twins",
        values=columns.spread("twin", "split"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "near-duplicates (by their pixels) lie in one split",
        why="a test image that looks like a training image is easier than a new one, so the test result may be too good",
        found=sentences.copies("split", "twin", "near-duplicates"),
        remedy="Look at them; if they show the same scene, keep them in one split.",
        together="twin",
        pairs="split",
    ),
    Check(
        name="near_duplicates_under_two_labels",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="labels_of_twins",
        values=columns.spread("twin", "label"),
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "near-duplicates (by their pixels) have one label",
        why="one of the labels may be wrong, or the little in which they differ is what the labels are about",
        found=sentences.copies("label", "twin", "near-duplicates"),
        remedy="Is one of the labels wrong? Look at the pairs; where what differs is what the labels are about, leave them.",
        together="twin",
        pairs="label",
    ),
    Check(
        name="lookalikes_under_two_labels",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="labels_of_lookalikes",
        values=columns.labels_of_lookalikes,
        arguments=lambda limits: {"max_value": 1},
        expected=lambda limits: "look-alikes (by a hash of 64 bits alone) have one label",
        why="their coarse light is the same and their pixels differ, as with bare cells, blank pages or skies; the labels may well be right",
        found=sentences.copies("label", "lookalike", "look-alikes"),
        remedy="No label needs changing on this alone; look at a few if labels are in doubt.",
        together="lookalike",
        pairs="label",
    ),
    Check(
        name="balance",
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="behind_largest",
        values=columns.behind_largest,
        arguments=lambda limits: {"max_value": limits.max_imbalance},
        expected=lambda limits: (
            f"the largest class has at most {limits.max_imbalance:g} times the images of any other (validate_data.max_imbalance)"
        ),
        why="rare classes are learned less well, and accuracy hides it",
        found=sentences.imbalance,
        remedy="Add images of the rare classes; by default every class then counts alike (`aim`): read balanced accuracy and macro-F1.",
    ),
    Check(
        name="sides",
        labels=False,
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="shorter_side",
        values=columns.shorter_side,
        arguments=lambda limits: {"min_value": limits.min_side},
        expected=lambda limits: (
            f"the shorter side of every image has at least {formats.count(limits.min_side, 'pixel')} (validate_data.min_side)"
        ),
        why="small images are blown up to the network's input and show little",
        found=sentences.sides,
        remedy="Use larger originals if there are any.",
    ),
    Check(
        name="aspect",
        labels=False,
        severity="warning",
        expectation="ExpectColumnValuesToBeBetween",
        column="aspect",
        values=columns.aspect,
        arguments=lambda limits: {"max_value": MAX_ASPECT},
        expected=lambda limits: f"the longer side is at most {MAX_ASPECT:g} times the shorter",
        why="the network sees a square, so little of a very long image is left",
        found=sentences.long,
        remedy="Crop them to what matters.",
    ),
    Check(
        name="modes",
        labels=False,
        severity="warning",
        expectation="ExpectColumnValuesToBeInSet",
        column="usable_mode",
        values=columns.usable_mode,
        arguments=lambda limits: {"value_set": list(PLAIN_MODES)},
        expected=lambda limits: "every image is plain colour (RGB) or grey (L)",
        why="other modes (palette, transparency, CMYK, 16 bit) are converted, which may change how they look",
        found=sentences.modes,
        remedy="Check that they look right; convert them if not.",
    ),
    *of_batches.CHECKS,
]


def suite(frame: pd.DataFrame) -> list[Check]:
    """The checks of a manifest: those of the setting that it is of."""
    if of_unlabelled.HELD_OUT in frame:
        return of_unlabelled.CHECKS
    if no_labels.is_of(frame):
        return [*(check for check in CHECKS if not check.labels), *of_no_labels.CHECKS]
    return CHECKS
