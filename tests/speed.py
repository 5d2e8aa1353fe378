"""Which tests are slow, in one place: `make check` leaves them out, and `make test` begins with the files that take longest.

A test is slow that starts a process or trains a network. Any other test that does so fails, and says that it belongs on this list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

ALL = ("",)
# Fixtures that start processes; whoever uses one is slow.
FIXTURES = {"machines", "toy_project", "short_project", "_toy_template", "prefect_server", "forked_dvc"}
# Files below tests/, those that take longest first: the beginnings of the names of their slow tests, beside those that use such a fixture.
SLOW: dict[str, tuple[str, ...]] = {
    "flows/pipeline/test_pipeline.py": ALL,
    "flows/server/test_operate.py": ALL,
    "flows/cli/test_main.py": ("test_starting_imports_nothing_heavy", "test_sigterm"),
    "flows/pipeline/test_develop.py": (
        "test_a_source_is",
        "test_both_pipelines",
        "test_anew_it",
        "test_what_is_no_better",
        "test_a_directory_is",
    ),
    "flows/pipeline/test_transfer.py": ALL,
    "test_many_machines.py": (),
    "training/test_other_machines.py": (),
    "training/test_kept_trainings.py": ALL,
    "flows/pipeline/test_chaos.py": ALL,
    "flows/experiments/test_restore.py": ALL,
    "flows/repository/test_dvc.py": ALL,
    "flows/repository/test_warm.py": ALL,
    "training/test_fine_tuning.py": ALL,
    "training/test_checkpoints.py": ALL,
    "training/test_resume.py": ALL,
    "training/test_loop.py": ALL,
    "test_gpu.py": ALL,
    "training/test_graphs.py": ALL,
    "tasks/test_standby.py": ALL,
    "tasks/test_without_torch.py": ALL,
    "training/test_scratch.py": ALL,
    "training/test_parallel.py": ALL,
    "machinery/test_malloc.py": ("test_freed",),
    "machinery/test_lock.py": ALL,
    "networks/test_libraries.py": ALL,
    "flows/server/test_be_heard.py": ("test_the_server_hears",),
    "exporting/test_other_kinds.py": ALL,
    "test_arrows.py": ALL,
    "base/test_devices.py": ("test_no_driver",),
    "choice/test_race.py": ("test_a_race_of_real_networks", "test_who_goes_on"),
    "choice/test_selection.py": ("test_only_training_images", "test_the_same_images", "test_no_race_is_decided"),
    "developing/test_develop.py": ("test_a_source_from", "test_the_same_bytes"),
    "evaluation/test_pictured.py": ("test_neighbours", "test_the_map_is", "test_features_of_one"),  # scikit-learn counts cores with lscpu
    "features/test_pictures.py": ("test_processes_give",),
    "flows/forms/test_given.py": ALL,
    "flows/projects/test_new.py": ALL,
    "flows/projects/test_wheel.py": ALL,
    "flows/pipeline/test_deployments.py": ("test_a_run_waits",),
    "flows/results/test_show.py": ("test_it_pays_for_nothing_heavy",),
    "flows/server/test_patient.py": ("test_a_module_runs",),
    "importing/test_examples.py": ("test_a_fetched_demo", "test_without_pip"),
    "indexing/test_indexer.py": ("test_no_torch",),
    "proof/test_trained.py": ALL,
    "params/test_project_code.py": ("test_a_stage_that_dvc_runs",),
    "report/test_page.py": ("test_torch_is_not_imported",),
    "tasks/test_contract.py": ("test_light", "test_stages_that_may", "test_importing"),
    "domains/test_domains.py": ("test_the_maps",),  # scikit-learn counts cores with lscpu
    "tasks/test_adapt.py": ("test_the_model",),  # scikit-learn counts cores with lscpu
    "tasks/test_group_images.py": ("test_every_image", "test_the_report"),  # scikit-learn counts cores with lscpu
    "tasks/test_index_images.py": ("test_as_a_process",),
    "tasks/test_reruns.py": ALL,
    "tasks/test_stage.py": ("test_while_another_run", "test_a_stage_dies"),
    "tasks/test_validate_data.py": ("test_neither_torch",),
    "test_recomputed.py": ALL,
    "training/test_batch_norm.py": ALL,
    "training/test_batches.py": ALL,
    "training/test_freezing.py": ALL,
    "training/test_measure.py": ("test_batches_that_are_computed",),
    "training/test_regularisers.py": ALL,
    "library/test_steps.py": ALL,
    "library/test_classifier.py": ALL,
    "library/test_docs.py": ALL,
    "training/test_updates.py": ("test_the_bytes_are_those_of_a_plain_loop",),
}

_LIBRARIES = ("ldconfig", "gcc", "cc", "ld", "objdump")  # what ctypes starts, for instance when torch is imported
_PROCESSES = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
_running: list[str] = []  # the fast test that runs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and put the files that take longest first."""
    places = {name: place for place, name in enumerate(SLOW)}

    def file(item: pytest.Item) -> str:
        return item.nodeid.partition("::")[0].partition("tests/")[2]

    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & FIXTURES or item.name.startswith(SLOW.get(file(item), ("::",))):
            item.add_marker("slow")
    items.sort(key=lambda item: places.get(file(item), len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that is not marked slow, and starts a process or trains."""
    _watch()
    if not item.get_closest_marker("slow"):
        _running.append(item.nodeid)
    try:
        return (yield)
    finally:
        _running.clear()


def _refuse(what: str) -> None:
    if _running:
        pytest.fail(f"{_running[0]} {what}: name it in tests/speed.py, as `make check` must stay fast")


def _heard(event: str, details: tuple[Any, ...]) -> None:
    if _running and event in _PROCESSES and not (details and Path(os.fsdecode(details[0])).name in _LIBRARIES):
        _refuse("starts a process")


_hooked: list[Any] = []


def _watch() -> None:
    """Hear of processes, and of steps of an optimiser as soon as there is torch."""
    if not _hooked:
        _hooked.append(sys.addaudithook(_heard))
    if len(_hooked) == 1 and "torch" in sys.modules:
        from torch.optim import optimizer

        _hooked.append(optimizer.register_optimizer_step_pre_hook(lambda *_: _refuse("trains a network")))
