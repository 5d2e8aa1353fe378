"""Transferability scores: how well a source's frozen features suit the target data.

To add one, put a Score into SCORES. A score gives one number per image, higher is better, whose mean is the score, so that the ranking
can bootstrap over images by weighing
rows. If a score is no mean by nature, a row is the score plus what the image adds to it, less the average of that: for LogME by the
jackknife (what leaving the image out changes), for the H-score by the infinitesimal jackknife (the derivative with respect to the image's
weight). Jaeckel, Bell Laboratories memorandum, 1972; Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982.

LogME and H-score hold the features in memory as float64, three times at most (490 MB for 10,000 images of 2,048); LEEP holds one number per
image and class of the source. BLAS gets one thread everywhere, so that the bytes do not depend on the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from headstart.base import reading
from headstart.base.reading import Features
from headstart.choice import evidence
from headstart.linear import logistic
from headstart.networks import heads
from headstart.statistics import likelihood

PENALTIES = [300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3]  # of the probe: coarser than train_head's, since only the ranking matters
LEAST_SHRINKAGE = 1e-6  # keeps the covariance of the H-score invertible


@dataclass(frozen=True)
class Inputs:
    """Frozen features of training images and what the scores compare them with."""

    features: Features  # (n, d)
    labels: np.ndarray  # (n,) integers
    folds: np.ndarray  # (n,) the fold each row is held out in
    classes: int
    neighbours: int
    classifier: heads.Head | None = None  # the source's own, over the same features: weight (source classes, d)
    published: float | None = None  # the source's published top-1 accuracy on ImageNet (0-1)
    # What the stages below the features give, averaged over positions, as far as they may be retrained: (n, width) each.
    stages: tuple[Features, ...] = ()


@dataclass(frozen=True)
class Score:
    """A score and what a reader of its figures should know."""

    rows: Callable[[Inputs], dict[str, np.ndarray]]  # a number per image (n,) under each key; nothing if the source lacks what it takes
    title: str
    paper: str
    assumptions: str
    cost: str  # for n images, d features
    votes: tuple[str, ...] = ()  # the keys that count in the ranking


_one_thread = threadpool_limits.wrap(limits=1)


def probe(inputs: Inputs) -> dict[str, np.ndarray]:
    """Cross-validated logistic regression: whether each row is classified rightly, and its likelihood.

    The log likelihood (nats) is given for the features, and for the depth where it is best: what lies above that depth was made for
    the source's
    classes, and is retrained (depth.py).
    """
    at_features = _cross_validated(inputs, inputs.features)
    everywhere = [at_features, *(_cross_validated(inputs, part) for part in inputs.stages)]
    likelihoods = [likelihood.of_labels(logits, inputs.labels) for logits in everywhere]
    return {
        "probe_accuracy": (at_features.argmax(1) == inputs.labels).astype(np.float64),
        "probe_log_likelihood": likelihoods[0],
        "depth_log_likelihood": max(likelihoods, key=np.mean),
    }


def _cross_validated(inputs: Inputs, features: Features) -> np.ndarray:
    """Out-of-fold logits (n, classes) of a logistic regression on `features` (n, width).

    Its penalty is chosen on them.
    """
    done = logistic.cross_validate(
        features, inputs.labels, inputs.folds, classes=inputs.classes, penalties=PENALTIES, what="linear probe, fits"
    )
    return done.held_out.astype(np.float64)


@_one_thread
def knn(inputs: Inputs) -> dict[str, np.ndarray]:
    """Cross-validated k-nearest-neighbour vote by cosine similarity over standardised features.

    Wu et al., CVPR 2018, unweighted.
    """
    mean, scale = logistic.moments(inputs.features)
    rows = (inputs.features[:].astype(np.float32) - mean.astype(np.float32)) / scale.astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    right = np.zeros(len(rows))
    for fold in range(int(inputs.folds.max()) + 1):
        train, held = np.flatnonzero(inputs.folds != fold), np.flatnonzero(inputs.folds == fold)
        k = min(inputs.neighbours, len(train))
        for part in reading.blocks(len(held), 512):
            near = np.argpartition(-(rows[held[part]] @ rows[train].T), k - 1, axis=1)[:, :k]
            votes = np.apply_along_axis(np.bincount, 1, inputs.labels[train][near], minlength=inputs.classes)
            right[held[part]] = votes.argmax(1) == inputs.labels[held[part]]
    return {"knn_accuracy": right}


@_one_thread
def logme(inputs: Inputs) -> dict[str, np.ndarray]:
    """LogME (You et al., ICML 2021): log evidence (nats per image) of Bayesian linear regression.

    For each class that occurs, y (n,) of zeros and ones has the evidence log N(y; 0, I / beta + F F^T / alpha), F (n, d) being the
    features as they are, at the alpha and beta that maximise it; the score is the mean over classes, divided by n. Correct for n < d too.

    Rows are the jackknife (see the module): what leaving image i out takes from the log evidence at the same alpha and beta, which by the
    envelope theorem is all to first order where they are best. By the chain rule that is log p(y_i | all other y), in closed form from the
    residuals and leverages (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, equation 5.12). The derivative with
    respect
    to the weight would be log p(y_i) under a posterior that has seen y_i: for n < d its standard errors are several times too small.
    """
    basis, energy = evidence.left_singular(inputs.features[:].astype(np.float64))
    targets = (inputs.labels[:, None] == np.unique(inputs.labels)).astype(np.float64)  # (n, classes that occur)
    along = basis.T @ targets  # (rank, classes)
    beside = np.maximum((targets**2).sum(0) - (along**2).sum(0), 0)
    found = [evidence.highest(energy, a**2, b, len(basis)) for a, b in zip(along.T, beside, strict=True)]
    best, ratio, beta = np.array(found).T  # (classes that occur,) each
    kept = energy[:, None] / (energy[:, None] + ratio)  # (rank, classes): the share of least squares that the posterior mean keeps
    free = 1 - basis**2 @ kept  # (n, classes): 1 - leverage
    rows = 0.5 * (np.log(beta * free / (2 * np.pi)) - beta * (targets - basis @ (kept * along)) ** 2 / free)
    return {"logme": (best + rows - rows.mean(0)).mean(1)}


@_one_thread
def h_score(inputs: Inputs) -> dict[str, np.ndarray]:
    """H-score (Bao et al., ICIP 2019): tr(C^-1 B), summed over all directions.

    It is the share of the features' variance C that lies between classes, B. With a shrunk covariance C = (1 - s) S + s (tr S / d) I
    and (1 - s) B in place of B (Ibrahim et al., ECML PKDD 2022); s after Ledoit &
    Wolf (J. Multivariate Analysis 88, 2004). Rows are the infinitesimal jackknife (see the module) with s held fixed; for n < d, where the
    score is near its most, classes - 1, whatever the features, their standard errors are too small.
    """
    features = inputs.features[:].astype(np.float64)
    n, d = features.shape
    if not np.ptp(features, axis=0).any():
        return {"h_score": np.zeros(n)}
    centred = features - features.mean(0)
    labels = np.unique(inputs.labels, return_inverse=True)[1]
    share = np.bincount(labels) / n  # (classes that occur,)
    averages = (labels[:, None] == np.arange(len(share))) / (n * share)  # (n, classes): centred.T @ averages are the classes' means
    gram = (centred.T @ centred if d <= n else centred @ centred.T) / n  # either has the trace and the squares of S
    level, squares = np.trace(gram) / d, (gram**2).sum()
    lengths = (centred**2).sum(1)
    error, spread = ((lengths**2).mean() - squares) / n, squares - d * level**2
    shrinkage = np.clip(error / spread, LEAST_SHRINKAGE, 1) if spread > 0 else 1.0
    shrunk = cho_factor((1 - shrinkage) * gram + shrinkage * level * np.eye(len(gram)))
    # C^-1 times the classes' means (d, classes); for d > n by (X^T X + c I)^-1 X^T = X^T (X X^T + c I)^-1.
    solved = cho_solve(shrunk, centred.T @ averages) if d <= n else centred.T @ cho_solve(shrunk, averages)
    along = centred @ solved  # (n, classes)
    between = (averages * along).sum(0)  # (classes,): of the mean m of each class, m^T C^-1 m
    rows = 2 * along[np.arange(n), labels] - between[labels] - (1 - shrinkage) * along**2 @ share
    rows -= shrinkage / d * lengths * ((solved**2).sum(0) @ share)
    return {"h_score": (1 - shrinkage) * (between @ share + rows - rows.mean())}


@_one_thread
def nce(inputs: Inputs) -> dict[str, np.ndarray]:
    """NCE (Tran et al., ICCV 2019): log p(y | z) of each row.

    z is the most likely class by the source's own classifier; without one, there is no score.
    """
    if inputs.classifier is None:
        return {}
    guesses = inputs.classifier.logits(inputs.features).argmax(1)
    counts = np.zeros((inputs.classes, len(inputs.classifier.bias)))
    np.add.at(counts, (inputs.labels, guesses), 1)
    return {"nce": np.log(counts[inputs.labels, guesses] / counts.sum(0)[guesses])}


@_one_thread
def leep(inputs: Inputs) -> dict[str, np.ndarray]:
    """LEEP (Nguyen et al., ICML 2020): log sum_z p(y | z) theta_z of each row.

    theta are the probabilities that the source's own classifier gives its classes z, and p(y | z) is what they and the labels give if
    counted
    together. Without such a classifier, there is no score.
    """
    if inputs.classifier is None:
        return {}
    theta = likelihood.softmax(inputs.classifier.logits(inputs.features))  # (n, source classes)
    joint = (inputs.labels == np.arange(inputs.classes)[:, None]).astype(np.float64) @ theta  # (classes, source classes)
    conditional = joint / np.maximum(joint.sum(0), np.finfo(np.float64).tiny)
    return {"leep": np.log((theta @ conditional.T)[np.arange(len(theta)), inputs.labels])}


def imagenet_accuracy(inputs: Inputs) -> dict[str, np.ndarray]:
    """The published top-1 accuracy on ImageNet, the same for every row.

    It knows nothing of the target data. Without a published figure, there is no score.
    """
    return {} if inputs.published is None else {"imagenet_accuracy": np.full(len(inputs.labels), inputs.published)}


SCORES: dict[str, Score] = {
    "probe": Score(
        probe,
        title="Linear probe",
        paper="Kornblith, Shlens & Le, CVPR 2019 (logistic regression on fixed features)",
        assumptions="What a linear head can read out of the frozen features foretells what fine-tuning reaches. Held-out folds, so not optimistic, "
        "but for the penalty, which is chosen on them.",
        cost="O(n d classes) an iteration of L-BFGS, a fit for each fold and penalty: the dearest of these scores",
        votes=("depth_log_likelihood",),
    ),
    "knn": Score(
        knn,
        title="k nearest neighbours",
        paper="Wu, Xiong, Yu & Lin, CVPR 2018 (unweighted vote)",
        assumptions="Images of one class lie close together, whatever the shape of the class. Held-out folds; nothing is fitted.",
        cost="O(n^2 d)",
    ),
    "logme": Score(
        logme,
        title="LogME",
        paper="You, Liu, Wang & Long, ICML 2021",
        assumptions="The labels, one class against the rest, are a linear function of the features with Gaussian noise. The evidence itself "
        "punishes overfitting, so no fold is held out. Comparable between sources on the same images only.",
        cost="O(n d min(n, d)) for one eigendecomposition, then O(n d classes)",
        votes=("logme",),
    ),
    "h_score": Score(
        h_score,
        title="H-score, shrunk",
        paper="Bao et al., ICIP 2019; shrinkage by Ibrahim, Ponomareva & Mazumder, ECML PKDD 2022, after Ledoit & Wolf, 2004",
        assumptions="Classes differ in their means, and share one covariance. Counts in-sample, so it grows with the number of features where "
        "these are many for the images; the shrinkage tempers that.",
        cost="O(n d min(n, d))",
    ),
    "nce": Score(
        nce,
        title="Negative conditional entropy",
        paper="Tran, Nguyen & Hassner, ICCV 2019",
        assumptions="Needs the source's own classifier, and looks at its most likely class only. Counts in-sample: with few images for each "
        "class of the source it is optimistic.",
        cost="O(n d source classes)",
    ),
    "leep": Score(
        leep,
        title="LEEP",
        paper="Nguyen, Hassner, Seeger & Archambeau, ICML 2020",
        assumptions="Needs the source's own classifier: how well its probabilities alone, without new features, predict the labels. Counts "
        "in-sample.",
        cost="O(n (d + classes) source classes)",
    ),
    "imagenet_accuracy": Score(
        imagenet_accuracy,
        title="Published ImageNet accuracy",
        paper="Kornblith, Shlens & Le, CVPR 2019",
        assumptions="A prior: better ImageNet models transfer better to natural photos on average. Knows nothing of the target data. What a point of it "
        "is worth in each score that counts, `select_source.published` says (nats per image); a source that has none is not held back.",
        cost="none",
    ),
}
