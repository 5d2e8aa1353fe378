"""tasks.sharing: stages of one dvc are forked from one process, as if each had been started, and end as they would."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headstart.machinery import lock
from tasks.sharing import handing
from tests import PATIENCE, ROOT, toy
from tests.tasks.test_stage import gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

CLIENT = """
import sys
from tasks.sharing import handing
code = handing.ask("\\0" + sys.argv[1], sys.argv[2], int(sys.argv[3]))
print("nobody") if code is None else handing._exit(code)
"""


def eventually(what: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(found)


def listens(name: str) -> bool:
    """Whether somebody listens at an address: it is bound first."""
    return any(f"@{name}" in line and " 00010000 " in line for line in Path("/proc/net/unix").read_text().splitlines())


@dataclass
class Standing:
    """A process that stands by for another one, as if that were dvc."""

    name: str
    dvc: subprocess.Popen[bytes]
    process: subprocess.Popen[bytes]

    def ask(self, body: str, **environment: str) -> subprocess.Popen[str]:
        """Hand over a module with this body."""
        Path("toy_module.py").write_text(textwrap.dedent(body))
        words = [sys.executable, "-c", CLIENT, self.name, "toy_module", str(self.dvc.pid)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})

    def answer(self, body: str, **environment: str) -> tuple[int, str, str]:
        """Exit code and what is written if a module with this body is handed over."""
        with self.ask(body, **environment) as process:
            out, err = process.communicate(timeout=PATIENCE)
            return process.returncode, out.strip(), err.strip()


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({2 * PATIENCE})"]) as dvc:
        name = f"headstart-test-{uuid.uuid4().hex}"
        process = handing.start(f"\0{name}", dvc.pid, ["json"])
        assert eventually(lambda: listens(name))
        yield Standing(name, dvc, process)
        dvc.kill()
    assert process.wait(PATIENCE) in (0, -signal.SIGKILL), "it ends with dvc"


def test_a_fork_has_streams_folder_and_environment_of_its_own_and_its_exit_code_counts(standing: Standing) -> None:
    body = """
        import os, sys
        print(os.getcwd(), os.environ["DVC_TOLD"], sys.argv, __name__, os.getppid(), flush=True)
        print("wrong", file=sys.stderr)
        sys.exit(3)
    """
    here = f"{Path.cwd()} this ['{Path.cwd()}/toy_module.py'] __main__ {standing.process.pid}"
    assert standing.answer(body, DVC_TOLD="this") == (3, here, "wrong")


def test_a_fork_collects_garbage_again(standing: Standing) -> None:
    assert standing.answer("import gc; print(gc.isenabled())")[1] == "True"


@pytest.mark.parametrize(("body", "code"), [("", 0), ("import os; os.kill(os.getpid(), 9)", -9), ("raise KeyError('mine')", 1)])
def test_the_end_of_a_fork_is_that_of_the_command(body: str, code: int, standing: Standing) -> None:
    ended, _, err = standing.answer(body)
    assert ended == code
    assert ("KeyError: 'mine'" in err) == (code == 1)


SLEEPS = f"import os, time; print(os.getpid(), flush=True); time.sleep({2 * PATIENCE})"


def begun(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_signals_reach_the_fork(standing: Standing) -> None:
    with standing.ask(SLEEPS) as process:
        pid = begun(process)
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM
    assert gone(pid)


def test_a_fork_ends_with_its_command(standing: Standing) -> None:
    with standing.ask(SLEEPS) as process:
        pid = begun(process)
        process.kill()
    assert gone(pid)
    assert standing.answer("")[0] == 0, "who stands by goes on"


def test_a_fork_ends_with_dvc(standing: Standing) -> None:
    with standing.ask(f"from tasks import stage; stage.die_with_parent(); stage.die_with_dvc(); {SLEEPS}", DVC_STAGE="one") as process:
        pid = begun(process)
        standing.dvc.kill()
        assert gone(pid)
        assert process.wait(PATIENCE) != 0


def test_if_who_stands_by_is_killed_so_is_what_it_did(standing: Standing) -> None:
    with standing.ask(f"from tasks import stage; stage.die_with_parent(); {SLEEPS}") as process:
        pid = begun(process)
        standing.process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL
    assert gone(pid)


def test_what_a_new_interpreter_would_see_otherwise_is_not_forked(standing: Standing) -> None:
    assert standing.answer("print('forked')", OMP_NUM_THREADS="7")[1] == "nobody"
    assert standing.answer("print('forked')")[1] == "forked"


def test_nobody_stands_by() -> None:
    assert handing.ask("\0headstart-test-nobody", "json", os.getpid()) is None


def test_a_second_one_at_an_address_ends(standing: Standing) -> None:
    assert handing.start(f"\0{standing.name}", standing.dvc.pid, ["json"]).wait(PATIENCE) == 0
    assert standing.answer("")[0] == 0


@pytest.mark.parametrize(
    ("words", "environment", "found"),
    [
        (["-m", "tasks.adapt"], {"DVC_STAGE": "adapt"}, "tasks.adapt"),
        (["-m", "tasks.adapt"], {}, None),
        (["-m", "tasks.adapt"], {"DVC_STAGE": "adapt", lock.VARIABLE: "/here"}, None),
        (["-P", "-m", "tasks.adapt"], {"DVC_STAGE": "adapt"}, None),
        (["-m", "tasks.adapt", "--more"], {"DVC_STAGE": "adapt"}, None),
        (["-m", "own.stage"], {"DVC_STAGE": "own"}, None),
    ],
)
def test_only_what_dvc_starts_as_a_stage_is_handed_over(
    words: list[str], environment: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DVC_STAGE", lock.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "orig_argv", ["python", *words])
    assert handing._stage() == found


WAITS = """
import time
from tasks.sharing import handing
from tests.tasks.test_standby import listens

def ready():
    caller = handing.caller()
    return all(listens(handing.address(caller, module)[1:]) for module in ("", "tasks.validate_data"))

while not ready():
    time.sleep(0.05)
"""


def test_stages_of_a_dvc_repro_share_their_imports_and_make_the_same(
    toy_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, told = tmp_path / "site", tmp_path / "told"
    site.mkdir()
    note = f"with open({str(told)!r}, 'a') as file: file.write(' '.join(sys.orig_argv[1:]) + chr(10))"
    (site / "sitecustomize.py").write_text(f"import atexit, sys\ndef end():\n    {note}\natexit.register(end)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.delenv(lock.VARIABLE, raising=False)
    shutil.rmtree("data/images")
    toy.images(Path("data/images"), classes=("ant", "bee"), per_class=10, size=32)
    Path("waits.py").write_text(WAITS)
    outs = "outs: [data/manifest.parquet, data/target.parquet]"
    stages = {
        "index_images": f"{{cmd: python -m tasks.index_images, {outs}}}",
        "waits": "{cmd: python waits.py, deps: [data/manifest.parquet]}",
        "validate_data": "{cmd: python -m tasks.validate_data, deps: [data/manifest.parquet], outs: [data/clean.parquet]}",
    }
    command, made = [sys.executable, "-m", "dvc", "repro", "--force"], []
    for together in (True, False):
        Path("dvc.yaml").write_text("stages:\n" + "".join(f"  {name}: {stage}\n" for name, stage in stages.items()))
        told.write_text("")
        for words in [[]] if together else [["--single-item", "index_images"], ["--single-item", "validate_data"]]:
            subprocess.run([*command, *words], check=True)
        alone = [line.removeprefix("-m tasks.") for line in told.read_text().splitlines() if "tasks." in line]
        assert alone == (["index_images"] if together else ["index_images", "validate_data"])
        made.append([Path(path).read_bytes() for path in ("data/manifest.parquet", "data/clean.parquet")])
    assert made[0] == made[1]


def test_who_stands_by_for_a_program_that_goes_on_ends_when_no_stage_has_come_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys; from tasks.sharing import standby; standby.IDLE = 1.0; standby.main(sys.argv[1], int(sys.argv[2]), sys.argv[3], [])"
    )
    with contextlib.ExitStack() as stack:
        goes_on = stack.enter_context(subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({2 * PATIENCE})"]))
        stack.callback(goes_on.kill)
        name, born = f"headstart-test-{uuid.uuid4().hex}", handing.status(goes_on.pid)[2]
        process = stack.enter_context(subprocess.Popen([sys.executable, "-c", program, name, str(goes_on.pid), born]))
        assert eventually(lambda: listens(name) or process.poll() is not None)
        said = Standing(name, goes_on, process).answer("import time; time.sleep(3); print('done')")
        assert said[:2] in [(0, "done"), (0, "nobody")], "it does not end while a stage runs; on a slow machine it has ended before"
        assert process.wait(PATIENCE) == 0
        assert goes_on.poll() is None
