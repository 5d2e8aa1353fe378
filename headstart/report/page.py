"""The report: one HTML page that says what ships, how good it is, why, and how to get it again.

`render` turns findings (headstart/report/findings.py) into a page that needs no network and no script. What a section shows is decided in one
file, and how it is laid out in the template of the same name below templates/: result, aim, labels, photos, partly, domains, batches, transfer, mistakes, gallery, alike, data, choice, training, again.
The headline and the summary are in summary.py, the charts in charts/, the looks in templates/report.css.
"""

from __future__ import annotations

from headstart.report import (
    again,
    batches,
    choice,
    data,
    domains,
    following,
    gallery,
    pages,
    partly,
    photos,
    result,
    summary,
    training,
    transfer,
)
from headstart.report import aim as aim_module
from headstart.report import alike as alike_module
from headstart.report import labels as labels_module
from headstart.report import mistakes as mistakes_module
from headstart.report.findings import Findings


def render(findings: Findings, *, mistakes: int) -> str:
    """The page. `mistakes` is the most wrong test images that are shown as pictures."""
    return (
        pages.environment()
        .get_template("page.html.jinja")
        .render(
            headline=summary.headline(findings),
            summary=summary.summary(findings),
            caveats=summary.caveats(findings),
            following=following.following(findings),
            labels=labels_module.labels(findings),
            result=result.result(findings),
            classes=result.classes(findings),
            confusion=result.confusion(findings),
            calibration=result.calibration(findings),
            coverage=result.coverage(findings),
            aim=aim_module.aim(findings),
            photos=photos.photos(findings),
            partly=partly.partly(findings),
            domains=domains.domains(findings),
            batches=batches.batches(findings),
            limits=result.limits_of(findings),
            transfer=transfer.transfer(findings),
            mistakes=mistakes_module.mistakes(findings, mistakes),
            gallery=gallery.gallery(findings),
            alike=alike_module.alike(findings),
            data=data.data(findings),
            sources=choice.sources(findings),
            depth=choice.depth(findings),
            head=training.head(findings),
            tuning=training.tuning(findings),
            again=again.again(findings),
            timings=findings.timings,
        )
    )
