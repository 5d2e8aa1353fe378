"""Forms for the Prefect UI: the same blocks, bounds, choices and sentences as params.yaml, and nothing required."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from flows.forms import schema as schema_module
from headstart.params import Params


def fields(schema: dict[str, Any], name: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a schema by dotted name."""
    for key, field in schema["$defs"][name]["properties"].items() if name else schema["properties"].items():
        if "$ref" in field:
            yield from fields(schema, field["$ref"].rpartition("/")[2], f"{prefix}{key}.")
        else:
            yield prefix + key, field


SCHEMA = schema_module.TransferForm.model_json_schema()
FORM = dict(fields(SCHEMA, ""))
PARAMETERS = dict(fields(Params.model_json_schema(), ""))


def test_every_parameter_is_a_field_that_may_stay_empty() -> None:
    assert list(FORM) == list(PARAMETERS)
    for name, field in FORM.items():
        assert "default" not in field, name
        assert field["title"] == name.rpartition(".")[2]
        assert "Takes: " in field["description"], name
    for block in [SCHEMA, *SCHEMA["$defs"].values()]:
        assert not block.get("required")
        assert block["additionalProperties"] is False


def test_bounds_choices_and_sentences_are_those_of_the_parameters() -> None:
    kept = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "items")
    for name, field in FORM.items():
        original = PARAMETERS[name]
        plain = [one for one in original.get("anyOf", []) if one != {"type": "null"}]
        original = {**original, **(plain[0] if len(plain) == 1 else {})}
        assert {key: field.get(key) for key in kept} == {key: original.get(key) for key in kept}, name
        assert field.get("enum") == original.get("enum"), name
        assert field["description"].startswith(original["description"].partition(";")[0].rstrip(".")), name
    assert FORM["fine_tune.strategy"]["enum"] == ["head_only", "last_stages", "gradual", "full"]
    assert FORM["fine_tune.epochs"]["description"].endswith("Takes: whole number from 1 to 1,000.")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {}),
        ({"fine_tune": {}, "seed": None}, {}),
        (
            {"fine_tune": {"epochs": 3, "rate": None, "augmentation": {"rotation": 2}}},
            {"fine_tune.epochs": 3, "fine_tune.augmentation.rotation": 2},
        ),
        ({"report": {"mistakes": 0}, "seed": 0}, {"seed": 0, "report.mistakes": 0}),
        ({"fine_tune": {"views": "auto"}}, {"fine_tune.views": "auto"}),
    ],
)
def test_what_is_given_and_nothing_else_is_found(given: dict[str, Any], found: dict[str, Any]) -> None:
    assert list(schema_module.values(schema_module.TransferForm.model_validate(given)).items()) == list(found.items())


@pytest.mark.parametrize(
    "given", [{"fine_tune": {"epochs": 0}}, {"fine_tun": {}}, {"fine_tune": {"strategy": "wild"}}, {"select_source": {"max_parameters": 0}}]
)
def test_wrong_values_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schema_module.TransferForm.model_validate(given)


def test_an_empty_form_is_empty_where_it_is_stored() -> None:
    assert schema_module.TransferForm().model_dump() == {}
    assert schema_module.TransferForm.model_validate({"fine_tune": {"epochs": 3}}).model_dump() == {"fine_tune": {"epochs": 3}}


def test_a_source_model_has_a_form_of_its_parameters_and_the_shared_ones() -> None:
    given = {"epochs": 2, "index_images": {"test_share": 0.3}, "seed": 1}
    assert schema_module.values(schema_module.DevelopForm.model_validate(given)) == {"epochs": 2, "seed": 1, "index_images.test_share": 0.3}
    numbers = {
        name: field["anyOf"][0]
        for name, field in fields(schema_module.DevelopForm.model_json_schema(), "")
        if name in ("input_size", "rate")
    }
    assert numbers == {
        "input_size": {"type": "integer", "minimum": 32, "maximum": 1024},
        "rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    }
