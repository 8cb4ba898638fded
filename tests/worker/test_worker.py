"""Whatever becomes of a worker is one named error, soon, and nothing of it is left."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests.limits import slowness
from tests.worker.conftest import ROOT
from toolkit.errors import BadInput, RuntimeMissing, TaskFailed, WorkerCrashed, WorkerOutOfMemory, WorkerTimeout
from toolkit.worker import client, loading
from toolkit.worker.client import Worker, parse_command
from toolkit.worker.limits import Limits
from toolkit.worker.pool import Here, WorkerPool
from toolkit.worker.session import Session

TASK = "toolkit.verification.tasks:run_it"
OK = """
    say(result=7, seconds={"wall": 1.0, "cpu": 0.5})
    wire.read(requests)
"""


def error_of(worker, kind, task=TASK, **options):
    with pytest.raises(kind) as caught:
        worker.call(task, **options)
    assert type(caught.value) is kind
    return str(caught.value)


def gone(pid, seconds=60.0):
    """Whether a process ends within some seconds; one that is dead and not waited for counts."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] in "ZX":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    return False


def test_a_good_worker(fake):
    worker = fake(OK)
    assert worker.call(TASK) == 7
    assert worker.seconds == {"wall": 1.0, "cpu": 0.5}


def test_a_worker_tells_where_its_time_went(fake):
    worker = fake("""
        clocks = {"wall": 0.0, "cpu": 2.0}
        say(result=1, seconds=clocks, in_models={"wall": 0.0, "cpu": 1.5}, handed=0.25, imported=3.0)
        wire.read(requests)
        say(error={"type": "TaskFailed", "found": "no", "where": None, "hint": None}, seconds=clocks, handed=0.5)
        wire.read(requests)
    """)
    worker.call(TASK)
    error_of(worker, TaskFailed)
    cpu = {what: spent["cpu"] for what, spent in worker.spent.items()}
    assert cpu == {"run_it": 2.5, client.IN_MODELS: 1.5, client.HANDED: 0.75, client.IMPORTED: 3.0}
    assert worker.spent[client.IMPORTED]["wall"] > 0


def test_a_worker_imports_its_framework_before_it_is_asked(monkeypatch):
    monkeypatch.setitem(loading._FRAMEWORKS, "made up", ("wave", "no_such_package"))
    monkeypatch.setenv(loading.VARIABLE, "made up")
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    try:
        assert loading.load() > 0
        assert "wave" in sys.modules
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


# Body of the fake, whether it greets first, and what the user reads.
DEATHS = [
    ("sys.exit(3)", False, "torch crashed: exit code 3 (start)"),
    ("sys.exit(0)", False, "torch crashed: exit code 0 (start)"),
    ("print('no such library', file=sys.stderr); sys.exit(1)", False,
     "torch crashed: exit code 1 (start)\n  Its last line: no such library"),
    ("raise ImportError('libfoo.so.1')", False,
     "torch crashed: exit code 1 (start)\n  Its last line: ImportError: libfoo.so.1"),
    ("os._exit(9)", True, "torch crashed: exit code 9 (run it)"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", True, "torch crashed: SIGSEGV (run it)"),
    ("os.kill(os.getpid(), signal.SIGKILL)", True, "torch crashed: SIGKILL (run it)"),
    ("os.kill(os.getpid(), signal.SIGFPE)", True, "torch crashed: SIGFPE (run it)"),
    ("os.abort()", True, "torch crashed: SIGABRT (run it)"),
    ("say(progress={'stage': 'open onnx'}); os.abort()", True, "torch crashed: SIGABRT (open onnx)"),
    ("replies.write(b'\\x10\\0\\0'); os.abort()", True, "torch crashed: SIGABRT (run it)"),
    ("replies.write((99).to_bytes(8, 'little') + b'{'); os.abort()", True, "torch crashed: SIGABRT (run it)"),
    ("print('a\\n\\n  last words  \\n', file=sys.stderr); os.abort()", True,
     "torch crashed: SIGABRT (run it)\n  Its last line: last words"),
    ("os.write(2, b'x' * 1000 + b'\\n'); os._exit(1)", True,
     "torch crashed: exit code 1 (run it)\n  Its last line: " + "x" * 200),
    ("print('Hello, world'); sys.stdout.flush(); time.sleep(60)", False,
     "the torch worker wrote b'Hello, w' instead of a message"),
    ("print('Downloading weights'); sys.stdout.flush(); time.sleep(60)", True,
     "the torch worker wrote b'Download' instead of a message"),
    ("say(result=1); time.sleep(60)", False, "the torch worker spoke before its greeting"),
    ("wire.write(replies, [1]); time.sleep(60)", True, "the torch worker wrote a message that is not an object"),
    ("replies.close(); os.close(2); time.sleep(60)", True, "torch crashed: closed its pipe (run it)"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "greet", "message"), DEATHS, ids=[message[:60] for _, _, message in DEATHS])
def test_deaths(fake, body, greet, message):
    worker = fake(body, greet=greet)
    assert error_of(worker, WorkerCrashed) == f"WorkerCrashed: {message}"
    assert not worker.alive


def test_it_dies_while_it_is_written_to(fake):
    worker = fake("os._exit(5)", greet=False)
    message = error_of(worker, WorkerCrashed, params={"x": np.zeros(10**7, np.uint8)})
    assert message == "WorkerCrashed: torch crashed: exit code 5 (start)"
    worker = fake("say(hello={}); os.read(0, 1000); os._exit(5)", greet=False)
    message = error_of(worker, WorkerCrashed, params={"x": np.zeros(10**7, np.uint8)})
    assert message == "WorkerCrashed: torch crashed: exit code 5 (run it)"


TIMEOUT = "  Give it more time with --timeout."


@pytest.mark.parametrize(
    ("body", "stage"),
    [
        ("time.sleep(60)", "run it"),
        ("say(progress={'stage': 'import torch'}); time.sleep(60)", "import torch"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", "run it"),
        ("while True: say(progress={})", "run it"),
        ("while True: pass", "run it"),
    ],
)
def test_a_hang(fake, body, stage):
    worker = fake(body, seconds=0.5)
    worker.start()
    pid = worker._process.pid
    message = error_of(worker, WorkerTimeout)
    assert message == f"WorkerTimeout: the torch worker did not answer in time ({stage}) and was stopped\n{TIMEOUT}"
    assert gone(pid)


def test_a_hang_at_the_start(fake, monkeypatch):
    monkeypatch.setattr(client, "HELLO_SECONDS", 0.2)
    message = error_of(fake("time.sleep(60)", greet=False), WorkerTimeout)
    assert message == f"WorkerTimeout: the torch worker did not answer in time (start) and was stopped\n{TIMEOUT}"


def test_a_worker_that_does_not_read(fake):
    worker = fake("say(hello={}); time.sleep(60)", greet=False, seconds=0.3)
    message = error_of(worker, WorkerTimeout, params={"x": np.zeros(10**7, np.uint8)})
    assert message == f"WorkerTimeout: the torch worker did not answer in time (run it) and was stopped\n{TIMEOUT}"


def test_the_time_of_one_call(fake):
    message = error_of(fake("time.sleep(60)"), WorkerTimeout, timeout=0.2)
    assert message.startswith("WorkerTimeout: the torch worker did not answer in time (run it)")


def test_a_hang_at_exit(fake):
    worker = fake(OK + "\n    time.sleep(60)")
    worker.call(TASK)
    pid = worker._process.pid
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 5 * slowness()
    assert gone(pid)


@pytest.mark.parametrize("chatty", [False, True], ids=["silent", "chatty"])
def test_it_grows_without_end(fake, chatty):
    body = f"""
        hoard = []
        while True:
            hoard.append(bytearray(b"x") * 20_000_000)
            {"say(progress={})" if chatty else ""}
            time.sleep(0.01)
    """
    message = error_of(fake(textwrap.dedent(body), memory=400_000_000), WorkerOutOfMemory)
    assert message == (
        "WorkerOutOfMemory: the torch worker grew past 400.0 MB (run it)\n"
        "  It was stopped. Give it more with --memory, or use a smaller batch."
    )


def test_a_flood_on_stderr_neither_blocks_nor_is_remembered(fake):
    body = """
        line = b"noise " * 170 + b"\\n"
        for _ in range(1000):
            os.write(2, line * 1000)
        os.write(2, b"the end\\n")
        say(result=7)
        wire.read(requests)
    """
    worker = fake(textwrap.dedent(body))
    assert worker.call(TASK) == 7
    worker._process.stdin.close()
    worker._reader.join(5)
    assert "\nthe end\n" in worker.stderr()
    assert sum(map(len, worker._stderr)) <= 3 * 64 * 1024


def test_what_it_leaves_running_is_ended_too(fake):
    body = """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(result=child.pid)
        wire.read(requests)
    """
    worker = fake(textwrap.dedent(body))
    grandchild = worker.call(TASK)
    worker.close()
    assert gone(grandchild)


def test_what_a_crashed_one_leaves_running_is_ended_too(fake):
    body = """
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(progress={"stage": str(child.pid)})
        os.abort()
    """
    seen = []
    with pytest.raises(WorkerCrashed):
        fake(textwrap.dedent(body)).call(TASK, on_progress=seen.append)
    assert gone(int(seen[0]["stage"]))


def test_progress_arrives_in_order(fake):
    worker = fake("for i in range(100): say(progress={'step': i})" + textwrap.dedent(OK))
    seen = []
    assert worker.call(TASK, on_progress=seen.append) == 7
    assert seen == [{"step": i} for i in range(100)]


def test_the_words_of_a_dead_one_are_not_those_of_the_next(fake):
    worker = fake("print('first', file=sys.stderr) if not os.path.exists(sys.argv[0] + '.x') else None\n"
                  "open(sys.argv[0] + '.x', 'a').close(); os._exit(1)")  # fmt: skip
    assert error_of(worker, WorkerCrashed).endswith("Its last line: first")
    assert error_of(worker, WorkerCrashed) == "WorkerCrashed: torch crashed: exit code 1 (run it)"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/no/such/python", "No such file or directory"),
        ("/etc/passwd", "Permission denied"),
        ("/", "Permission denied"),
    ],
)
def test_an_interpreter_that_cannot_be_started(command, why):
    worker = Worker("torch", command=parse_command(command))
    assert error_of(worker, BadInput) == (
        f"BadInput: {command}: the torch worker cannot be started ({why})\n  Check --python and --worker."
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("python3", ["python3", "-P", "-m", "toolkit.worker"]),
        ("'/a b/python'", ["/a b/python", "-P", "-m", "toolkit.worker"]),
        ("ssh gpu-host toolkit worker", ["ssh", "gpu-host", "toolkit", "worker"]),
    ],
)
def test_commands(text, command):
    assert parse_command(text) == command


def test_a_command_that_is_none():
    with pytest.raises(BadInput) as caught:
        parse_command("ssh 'host")
    assert str(caught.value) == (
        "BadInput: --python or --worker: 'ssh 'host' is no command line (No closing quotation)"
    )


# -- the real one


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("os:getcwd", "TaskFailed: 'os:getcwd' is no task of this toolkit"),
        ("builtins:eval", "TaskFailed: 'builtins:eval' is no task of this toolkit"),
        ("toolkitty.x:y", "TaskFailed: 'toolkitty.x:y' is no task of this toolkit"),
        ("", "TaskFailed: '' is no task of this toolkit"),
        ("toolkit.worker:x", "TaskFailed: AttributeError: module 'toolkit.worker' has no attribute 'x'"),
    ],
)  # fmt: skip
def test_what_is_no_task(real, task, message):
    assert error_of(real, TaskFailed, task) == message
    assert real.alive


def test_a_module_that_is_missing(real):
    message = error_of(real, RuntimeMissing, "toolkit.nothing:run")
    assert message.startswith("RuntimeMissing: the package 'toolkit' is not installed")


def test_a_handle_of_a_worker_that_has_ended(real):
    params = {"handle": "OnnxRunner-1", "batches": []}
    assert error_of(real, WorkerCrashed, "toolkit.verification.tasks:run", params=params) == (
        "WorkerCrashed: 'OnnxRunner-1' was open in a worker that has ended since\n  Run the command again."
    )


PEOPLE = '''
    """Tasks that misbehave inside of a real worker."""
    import os, signal, sys, time
    import numpy as np

    def echo(session, value):
        return value

    def count(session):
        session.objects["count"] = session.objects.get("count", 0) + 1
        return session.objects["count"], os.getpid(), os.getcwd(), sys.flags.safe_path

    def prints(session):
        print("from Python")
        os.write(1, b"from C\\n")
        os.system("echo from a shell")
        sys.stdin.read()
        session.progress({"stage": "printed"})
        return "unharmed"

    def odd(session):
        return {"value": {1, 2}}

    def exits(session):
        sys.exit("enough")

    def raises(session):
        raise ValueError("line one\\nline two")

    def dies(session):
        os.kill(os.getpid(), signal.SIGSEGV)

    def memory(session):
        raise MemoryError

    def sleeps(session):
        time.sleep(600)

    def environment(session):
        return dict(os.environ)
'''


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A package "trainers.people" put beside the real ones, by way of PYTHONPATH and a namespace of its own."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.py").write_text(textwrap.dedent(PEOPLE))
    starter = (
        f"import sys; sys.path.append({str(folder)!r}); import trainers, people; "
        "sys.modules['trainers.people'] = people; from toolkit.worker.server import main; main()"
    )
    return [sys.executable, "-P", "-c", starter]


@pytest.fixture
def worker(tasks):
    with Worker("torch", command=tasks, limits=Limits(threads=1)) as made:
        yield made


def test_a_real_worker(worker):
    array = np.arange(3)
    assert worker.call("trainers.people:echo", {"value": {"a": array}})["a"].tolist() == [0, 1, 2]
    first, pid, folder, safe = worker.call("trainers.people:count")
    assert (first, safe) == (1, True)
    assert folder.startswith(str(worker._folder.name))
    assert worker.call("trainers.people:count")[:2] == [2, pid]

    seen = []
    assert worker.call("trainers.people:prints", on_progress=seen.append) == "unharmed"
    assert seen == [{"stage": "printed"}]

    assert error_of(worker, TaskFailed, "trainers.people:odd") == (
        "TaskFailed: TypeError: a message holds JSON values and arrays, not set (at _pack)"
    )
    assert error_of(worker, TaskFailed, "trainers.people:exits") == "TaskFailed: SystemExit: enough"
    assert error_of(worker, TaskFailed, "trainers.people:raises") == "TaskFailed: ValueError: line one"
    assert error_of(worker, WorkerOutOfMemory, "trainers.people:memory") == (
        "WorkerOutOfMemory: trainers.people:memory: the task ran out of memory"
    )
    assert worker.call("trainers.people:count")[:2] == [3, pid]
    worker._process.send_signal(signal.SIGINT)  # Ctrl-C goes to the whole terminal; stopping is the parent's business
    assert worker.call("trainers.people:count")[:2] == [4, pid]
    printed = worker.stderr()
    for line in ("from Python", "from C", "from a shell"):
        assert line in printed

    assert error_of(worker, WorkerCrashed, "trainers.people:dies").startswith(
        "WorkerCrashed: torch crashed: SIGSEGV (dies)\n  Its last line: "
    )
    again, other, *_ = worker.call("trainers.people:count")
    assert again == 1
    assert other != pid
    os.kill(other, signal.SIGKILL)
    assert gone(other)
    assert worker.call("trainers.people:count")[0] == 1


def test_its_environment(tasks):
    with Worker("torch", command=tasks, limits=Limits(threads=3)) as worker:
        found = worker.call("trainers.people:environment")
    assert {found[name] for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "MKL_NUM_THREADS")} == {"3"}
    assert found["CUDA_VISIBLE_DEVICES"] == "-1"
    assert found["NVIDIA_TF32_OVERRIDE"] == "0"


PARENT = """
    import json, sys
    from toolkit.worker.client import Worker
    worker = Worker("torch", command=json.loads(sys.argv[1]))
    print(worker.call("trainers.people:count")[1], flush=True)
    worker.call("trainers.people:sleeps")
"""


def test_a_parent_that_is_killed_takes_its_worker_along(tasks, tmp_path):
    import json

    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), json.dumps(tasks)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)


def test_a_pool_keeps_one_worker_for_each_runtime_and_device():
    with WorkerPool(commands={"torch": "a", "cuda": "b c", "tensorflow": "d e"}) as pool:
        assert pool.worker("torch") is pool.worker("torch", "cpu")
        assert pool.worker("torch", "cuda:0") is not pool.worker("torch", "cuda:1")
        commands = {
            ("torch", "cpu"): ["a", "-P", "-m", "toolkit.worker"],
            ("torch", "cuda"): ["a", "-P", "-m", "toolkit.worker"],
            ("onnxruntime", "cuda:1"): ["b", "c"],
            ("tensorflow", "cpu"): ["d", "e"],
            ("onnxruntime", "cpu"): [sys.executable, "-P", "-m", "toolkit.worker"],
        }
        assert {key: pool.worker(*key)._command for key in commands} == commands
        assert pool.seconds == {"wall": 0, "cpu": 0}


def test_this_very_process_as_a_worker():
    here = Here("torch", Session())
    with pytest.raises(TaskFailed):
        here.call("os:getcwd")


def test_limits_of_a_container(tmp_path, monkeypatch):
    from toolkit.worker import limits

    group = tmp_path / "memory.max"
    monkeypatch.setattr(limits, "_CONTROL_GROUP", group)
    machine = limits.physical_memory()
    group.write_text("max\n")
    assert limits.physical_memory() == machine
    group.write_text("1000000\n")
    assert limits.physical_memory() == 1_000_000
    assert Limits().memory == 900_000
