"""What a run came to, in plain words: the headline, the summary and what to keep in mind."""

from __future__ import annotations

from headstart.charts import percent
from headstart.expectations import count, listing
from headstart.findings import Findings

FEW_TESTED = 200  # test images below which the result is called rough


def headline(f: Findings) -> dict[str, str]:
    """The answer: test accuracy, its interval, on how many images, and what ships."""
    test = f.metrics["test"]
    low, high = test["interval"]["accuracy"]
    what = "a fine-tuned" if f.metrics["shipped"] == "fine_tuned" else "a new head on the frozen"
    return {
        "accuracy": percent(test["accuracy"]),
        "interval": f"{percent(low)} to {percent(high)}",
        "n": count(f.metrics["n_test"], "test image"),
        "classes": count(len(f.metrics["classes"]), "class", "classes"),
        "ships": f"{what} {f.card['architecture']}",
        "source": f.metrics["source"],
    }


def summary(f: Findings) -> list[str]:
    """What happened, in a few plain sentences."""
    ranked = [c for c in f.ranking["candidates"] if c["status"] == "ranked"]
    wrong = int((~f.predictions["correct"]).sum())
    said = [
        f"The model tells {count(len(f.metrics['classes']), 'class', 'classes')} apart and is wrong on {wrong:,} of {count(f.metrics['n_test'], 'test image')}, "
        "which were kept out of the training and of every choice."
    ]
    said.append((f"{len(ranked)} pretrained sources were ranked. " if len(ranked) > 1 else "") + sentence(f.ranking["reason"]))
    said.append(sentence(f.fine_tuned["reason"]))
    if f.metrics["shipped"] == "fine_tuned":
        before = int((f.predictions["head_predicted"] != f.predictions["label"]).sum())
        said.append(
            f"On the test images the frozen head alone would have made {count(before, 'mistake')}; the model that ships makes {wrong:,}."
        )
    return said


def caveats(f: Findings) -> list[str]:
    """What a careful reader should keep in mind, worst first; empty where there is nothing."""
    test, head, n = f.metrics["test"], f.metrics["head"], f.metrics["n_test"]
    low, high = test["interval"]["accuracy"]
    said = []
    if n < FEW_TESTED:
        said.append(
            f"Only {count(n, 'image was', 'images were')} tested, so the accuracy is rough: one image more or less is {percent(1 / n)}."
        )
    elif high - low > 0.1:
        said.append(
            f"The interval is wide: the accuracy on new images of this kind may lie anywhere from {percent(low)} to {percent(high)}."
        )
    if f.metrics["shipped"] == "fine_tuned" and head["accuracy"] > test["accuracy"]:
        said.append(
            f"On the test images the frozen head did better ({percent(head['accuracy'])}) than what ships ({percent(test['accuracy'])}). The choice was "
            "made on the validation images and stays: choosing on the test images would make their result worthless."
        )
    few = [label for label, row in test["per_class"].items() if row["n"] < 10]
    if few:
        said.append(
            f"{count(len(few), 'class has', 'classes have')} fewer than 10 test images ({listing(few)}); their own rows mean little."
        )
    weak = sorted((row["recall"], label) for label, row in test["per_class"].items() if row["recall"] < 0.8 and row["n"] >= 10)
    if weak:
        said.append(f"Some classes are often missed: {listing(f'{label} ({percent(recall)} found)' for recall, label in weak)}.")
    if test["accuracy"] - test["balanced_accuracy"] > 0.03:
        said.append("Rare classes do worse than common ones: accuracy is well above balanced accuracy.")
    sure = float(f.predictions["probability"].mean()) - test["accuracy"]
    if test["ece"] > 0.05:
        said.append(
            f"The stated probabilities are off by {percent(test['ece'])} on average: the model is {'too sure' if sure > 0 else 'less sure than it could be'}."
        )
    if f.validation["warnings"]:
        said.append(f"The data check gave {count(len(f.validation['warnings']), 'warning')}; see Data below.")
    return said


def sentence(words: str) -> str:
    """Words with one full stop last, and a capital first unless they begin with a name such as wheel:efficientnet_lite0."""
    first = words.split(maxsplit=1)[0]
    return (words[:1].upper() + words[1:] if first.replace("-", "").isalpha() else words).rstrip(".") + "."
