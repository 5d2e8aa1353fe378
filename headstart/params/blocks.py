"""The typed schema of params.yaml: one block per stage; each field has a default, bounds, a unit and a sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.params.adapt import Adapt
from headstart.params.aim import Aim
from headstart.params.augmentation import MeasuredAugmentation
from headstart.params.batches import CompareBatches
from headstart.params.block import Block
from headstart.params.choosing import SelectSource
from headstart.params.evaluating import Evaluate
from headstart.params.grouping import GroupImages
from headstart.params.verdict import Repeats as Repeats
from headstart.params.verdict import Verdict as Verdict


class Seeded(Block):
    """What a stage reads from the top of params.yaml if it only draws at random."""

    seed: int = Field(0, ge=0, le=2**31 - 1, description="The one seed of the pipeline.")


class Shared(Seeded):
    """What a stage reads from the top of params.yaml if it runs networks."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where networks run; auto: on the GPUs if there are any, else on the CPU."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="What networks multiply with: a GPU always, a CPU in training only. auto: bfloat16 if there are instructions for it, else float16 on a GPU "
        "and float32 on a CPU.",
    )


class Aimed(Shared):
    """What a stage reads from the top of params.yaml if it also has to know what the model is to be good at."""

    aim: Aim = Field(default_factory=Aim, description="What the model is to be good at.")


class IndexImages(Block):
    """Index, hash and split the images."""

    test_share: float = Field(
        0.2, gt=0, lt=0.9, description="Share of the images (0-1) held out as the test split if the folders give none."
    )
    validation_share: float = Field(
        0.2, gt=0, lt=0.9, description="Share of the remaining images (0-1) used for validation if the folders give none."
    )
    duplicate_distance: int = Field(
        4,
        ge=0,
        le=16,
        description="Perceptual-hash distance (bits of 64) up to which two images are near-duplicates kept on one side of a split.",
    )
    duplicate_group_limit: int = Field(
        20, ge=1, le=10_000, description="Most images in one near-duplicate group, so that chains of look-alikes do not swallow a class."
    )
    max_pixels: int = Field(
        100_000_000, ge=1_000, le=2_000_000_000, description="Images with more pixels than this (width x height) are quarantined."
    )


class ValidateData(Block):
    """Check the data with Great Expectations; critical failures stop the pipeline."""

    min_images_per_class: int = Field(5, ge=2, le=1_000_000, description="Fewest usable images a class may have; fewer stops the pipeline.")
    max_unreadable_share: float = Field(
        0.05, ge=0, le=1, description="Share of unreadable files (0-1) above which the copy counts as broken and the pipeline stops."
    )
    max_imbalance: float = Field(10.0, ge=1, description="Ratio of the largest to the smallest class above which a warning is given.")
    min_side: int = Field(16, ge=1, le=4096, description="Shorter image side (pixels) below which a warning is given.")


_CLASS_WEIGHTS = (
    "balanced weighs every class alike whatever its number of images; none weighs every image alike; auto: none if the aim is accuracy, "
    "else what does better in cross-validation with every class counting alike."
)


class TrainHead(Block):
    """Train a linear head on the frozen base."""

    penalties: list[Annotated[float, Field(gt=0, le=1e4)]] = Field(
        [1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1],
        min_length=1,
        description="L2 penalties to choose among by cross-validation (on the mean loss, over standardised features, divided by their number).",
    )
    folds: int = Field(5, ge=2, le=20, description="Folds of the cross-validation that chooses the penalty.")
    class_weights: Literal["auto", "none", "balanced"] = Field("auto", description=_CLASS_WEIGHTS)
    self_training: Literal["if_shown", "always", "never"] = Field(
        "if_shown",
        description="Images without labels (`headstart import --unlabelled`) teach the head by the labels that it gives them. if_shown: if left-out labelled images show that it helps; always and never: whatever they show.",
    )
    max_unlabelled: int = Field(2_000, ge=10, le=20_000, description="Most images without labels that teach the head, drawn at random.")

    @property
    def balanced(self) -> bool | None:
        """Whether every class weighs the same; None if cross-validation decides."""
        return None if self.class_weights == "auto" else self.class_weights == "balanced"


class FineTune(Block):
    """Unfreeze and fine-tune at low rates, watching the validation split."""

    strategy: Literal["head_only", "last_stages", "gradual", "full"] = Field(
        "last_stages",
        description="Which layers are trained when: see headstart/training/strategies.py. head_only unfreezes nothing, and takes no time.",
    )
    depth: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = Field(
        "auto",
        description="Stages of the base, counted from the head, that last_stages and gradual train (1-100); auto: from the first stage at which a linear probe is as good as anywhere (select_source.depths), 3 without that probe.",
    )
    epochs: int = Field(10, ge=1, le=1000, description="Most epochs (passes over the cached views) a phase lasts.")
    patience: int = Field(
        10,
        ge=1,
        le=1000,
        description="Epochs without a better validation loss after which a phase ends. Rates fall to nothing at the end of a phase, and a loss that rose mostly falls there: with less than `epochs`, that is cut off.",
    )
    passes: int = Field(
        10_000,
        ge=1,
        le=1_000_000_000,
        description="Training images that a phase sees at most in all its epochs, 50 times as many on a GPU; more images have fewer epochs, but 5 at least (or `epochs`, if that is less); a tenth of it with last_stages if the frozen head is shown to leave few images wrong.",
    )
    rate: float = Field(3e-4, gt=0, le=1, description="Highest learning rate of the head (AdamW, one cycle).")
    decay: float = Field(0.9, gt=0, le=1, description="Factor on the learning rate for each stage deeper than the head.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW weight decay.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target (0-1) spread over all classes.")
    class_weights: Literal["auto", "none", "balanced"] = Field("auto", description="As in train_head; auto: what the head came to.")
    regulariser: Literal["none", "l2_sp", "bss"] = Field(
        "none",
        description="What holds the base: l2_sp pulls its weights to those of the source (weight_decay is then the head's alone), bss shrinks the weakest directions of its features: see headstart/training/regularisers.py.",
    )
    regulariser_strength: float = Field(
        0.01, ge=0, le=10, description="Factor of the regulariser in the loss; typical are 0.001 to 0.1 for l2_sp, 0.0001 to 0.01 for bss."
    )
    batch_size: int = Field(32, ge=2, le=4096, description="Images a training step.")
    gpu_batch_size: int = Field(
        128,
        ge=2,
        le=4096,
        description="Images a training step on a GPU, at most: batch_size is doubled up to this as long as an epoch keeps 32 steps, and the rate grows by the root of the factor. batch_size or less: as on a CPU.",
    )
    views: Annotated[int, Field(ge=1, le=64)] | Literal["auto", "fresh"] = Field(
        "auto",
        description="Augmented views of each training image that are computed through the frozen layers and cached (1-64); auto: 3, and 2 of more than 1,500 images, or if the frozen head leaves so few wrong that there are 5 epochs at most; fresh: a new one in each epoch, the frozen layers running as training goes (on a GPU always, if an activation is larger than its picture).",
    )
    statistics: Literal["source", "batch"] = Field(
        "source",
        description="What BatchNorm normalises with in training: source keeps the statistics of the source, batch uses and gathers those of the images.",
    )
    keep: Literal["best", "trained", "last"] = Field(
        "best",
        description="Which epoch's weights a phase ends with. best: of the lowest validation loss; a first training of the last stages counts as no better than the frozen head only if it is worse by a standard error. trained: the same without the start; last: the last epoch's.",
    )
    whole: float = Field(
        1400.0,
        ge=0,
        le=1e9,
        description="Most work (GFLOPs: multiply-adds (10^9) of an image, times the images seen; 50 times as much on a GPU) of training most of the network on fresh views, which last_stages does first if the frozen head leaves 5% of the validation images wrong, and 15 of all images in proportion; 0: never.",
    )
    cache_gib: float = Field(
        20.0,
        gt=0,
        le=100_000,
        description="Most disk (GiB) for cached activations in .headstart/features; fewer views are made if they would not fit, and none are cached if not even one does.",
    )
    processes: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        "auto",
        description="Processes that train together (1-64), each with its part of every batch; auto: one per GPU of this machine and, with executor: ray, of the cluster; one on the CPU.",
    )
    augmentation: MeasuredAugmentation = Field(default_factory=MeasuredAugmentation, description="How the views are drawn.")


class Baseline(Block):
    """Train the same architecture from random weights: what transfer is compared with."""

    epochs: int = Field(
        10, ge=0, le=1000, description="Most epochs, as many as fine_tune has at its default; 0: no baseline, and no verdict on transfer."
    )
    passes: int = Field(
        10_000,
        ge=1,
        le=1_000_000_000,
        description="Training images seen at most in all epochs, 50 times as many on a GPU; more images have fewer epochs, but 5 at least (or `epochs`, if that is less).",
    )
    rate: float = Field(2e-3, gt=0, le=1, description="Highest learning rate (AdamW, one cycle).")
    batch_size: int = Field(32, ge=2, le=4096, description="Images a training step.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW weight decay.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target (0-1) spread over all classes.")
    views: int = Field(4, ge=1, le=64, description="Augmented views of each training image.")
    max_size: int = Field(
        96, ge=32, le=1024, description="Largest network input (pixels), for time; networks that take one size only keep it."
    )
    max_images: int = Field(
        2_000, ge=20, le=10_000_000, description="Most images (stratified) of the training split, and of the validation split."
    )
    augmentation: MeasuredAugmentation = Field(default_factory=MeasuredAugmentation, description="How the views are drawn.")


class Report(Block):
    """Write the report."""

    mistakes: int = Field(24, ge=0, le=500, description="Worst mistakes shown as pictures.")


class Params(Aimed):
    """All of params.yaml."""

    # No stage depends on it: it changes no result.
    executor: Literal["local", "ray"] = Field(
        "local",
        description="Who works on images in index_images and in frozen passes: the cores of this machine, or those of a Ray cluster, which RAY_ADDRESS names. Results are the same.",
    )
    index_images: IndexImages = Field(default_factory=IndexImages)
    validate_data: ValidateData = Field(default_factory=ValidateData)
    select_source: SelectSource = Field(default_factory=SelectSource)
    train_head: TrainHead = Field(default_factory=TrainHead)
    fine_tune: FineTune = Field(default_factory=FineTune)
    baseline: Baseline = Field(default_factory=Baseline)
    verdict: Verdict = Field(default_factory=Verdict)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    adapt: Adapt = Field(default_factory=Adapt)
    compare_batches: CompareBatches = Field(default_factory=CompareBatches)
    group_images: GroupImages = Field(default_factory=GroupImages)
    report: Report = Field(default_factory=Report)


STAGES = tuple(
    name
    for name, field in Params.model_fields.items()
    if name not in Aimed.model_fields and isinstance(field.annotation, type) and issubclass(field.annotation, Block)
)
