"""Results folders that hold what does not belong there: every command names the file in one message, or does without it; nothing hangs or is lost."""

import json
import os
import shutil
import signal
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latentbench.execution.compaction import compact
from latentbench.execution.execute import execute
from latentbench.execution.leases import STALE_AFTER, Leases
from latentbench.execution.queue import enqueue
from latentbench.files import FolderError, listed
from latentbench.results.fragments import UNFINISHED_MERGE
from latentbench.results.store import Store
from latentbench.results.tables import METADATA_KEY, SCHEMA_VERSION, TABLES
from latentbench.runner import Selection, planned
from latentbench.suites.launch import Launch
from latentbench.suites.plan import Changes
from tests.kit import forked_cli, obey_permissions

SUITE = """\
name: hostile
seeds: [1, 2]
evaluations: [elbo, samples]
defaults: {dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 2, batch_size: 50}}
sweeps:
  - {family: poisson, estimator: mc}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory, registry):
    """A suite whose two runs are done and queued, with a summary: its folder, and the runs' ids."""
    base = tmp_path_factory.mktemp("hostile")
    (base / "suite.yaml").write_text(SUITE)
    plan, *_ = planned(base / "suite.yaml", base / "plain", Launch(), Changes())
    jobs, store = [Selection().job(item) for item in plan.runs], Store(base / "plain")
    for job in jobs:
        assert execute(job, registry, store, "cpu") is None
        for evaluation in job.evaluations:
            row = {
                "run_id": job.run.id,
                "evaluation": evaluation.name,
                "evaluation_id": evaluation.id,
                "options": "{}",
                "version": evaluation.version,
            }
            store.write_rows("evaluations", f"{job.run.id}-{evaluation.id}", [row])
    store.write_rows("summaries", "table", [{"family": "poisson", "metric": "published", "split": "validation", "value": 1.0, "source": "a paper"}])
    enqueue(store.path, "hostile", jobs, detached=True)
    shutil.copytree(base / "plain", base / "compacted")
    assert compact(base / "compacted") > 0
    return base, sorted(job.run.id for job in jobs)  # the damaged file is the first


@pytest.fixture(autouse=True)
def _no_hang(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # for speed

    def hang(*_):
        raise TimeoutError("this hangs")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def rewritten(change, table, name="first"):
    """Damage: a fragment of a table is `change`d, in a sound file."""

    def damage(folder, run_id):
        path = fragment(folder, table, name)
        rows = pq.read_table(path)
        pq.write_table(change(rows).replace_schema_metadata(rows.schema.metadata), path)
        return path

    return damage


def fragment(folder, table, name="first"):
    files = listed(folder / table, ".parquet")
    return files[0] if name == "first" else folder / table / name


def column(name, values):
    def change(rows):
        made = pa.array([values] * len(rows)) if not isinstance(values, (pa.Array, pa.DataType)) else values
        made = rows[name].cast(made) if isinstance(made, pa.DataType) else made
        return rows.set_column(rows.column_names.index(name), name, made)

    return change


def with_bytes(table, content):
    """Damage: a fragment's bytes are changed."""

    def damage(folder, run_id):
        path = fragment(folder, table)
        path.write_bytes(content(path.read_bytes()))
        return path

    return damage


def in_place(name, make):
    """Damage: something is put where `name` is, which may be a fragment's, a lease's or a queue file's."""

    def damage(folder, run_id):
        path = folder / name.replace("RUN", run_id)
        path.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        make(path)
        return path

    return damage


def copied(table, name):
    def damage(folder, run_id):
        shutil.copy(fragment(folder, table), folder / table / name)
        return folder / table / name

    return damage


def text(content):
    return lambda path: path.write_text(content)


def lease(**changes):
    """A lease of a machine that cannot be looked at, changed."""

    def make(path):
        owner = Leases(path.parent)
        assert owner.acquire(path.name.partition(".")[0])
        path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere", **changes}))

    return make


def progress(content):
    def make(path):
        lease()(path.with_name(f"{path.stem}.1.json"))
        path.write_text(content)

    return make


def queued(change):
    def damage(folder, run_id):
        (path,) = listed(folder / "queue", ".json")
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    return damage


def newer(rows):
    return rows.replace_schema_metadata({METADATA_KEY: str(SCHEMA_VERSION + 1)})


def newer_schema(folder, run_id):
    path = fragment(folder, "metrics")
    pq.write_table(newer(pq.read_table(path)), path)
    return path


def not_utf8(folder, run_id):
    path = fragment(folder, "metrics")
    rows = pq.read_table(path)
    offsets = pa.py_buffer(b"".join(i.to_bytes(4, "little") for i in range(len(rows) + 1)))
    bad = pa.Array.from_buffers(pa.string(), len(rows), [None, offsets, pa.py_buffer(b"\xff" * len(rows))])
    pq.write_table(rows.set_column(rows.column_names.index("split"), "split", bad), path)
    return path


COMMANDS = ("plan", "compare", "status", "show", "list", "metrics", "merge", "evaluate", "worker", "run", "compact", "cancel")
READERS = set(COMMANDS)
"""Commands that read tables. Of `list runs` that is `runs` only. `cancel` empties the queue nevertheless."""
RUNS = READERS - {"metrics"}
"""Commands that read the rows of runs; `list metrics` does without them."""
OTHERS = RUNS - {"show"}
"""Commands that read every file of a table, and not only those of one run, as `show` does."""
WRITERS = {"run", "evaluate", "worker", "compact"}
EVERY = {"run", "plan", "compare", "show", "compact", "merge", "evaluate"}
"""Commands that read every column of runs, or every row of evaluations."""
LEASES = {"run", "evaluate", "status", "worker", "compact", "cancel"}
QUEUE = {"run", "evaluate", "status", "worker"}
DEEP = "[" * 100_000

PLAIN = {
    "a row cut short": (with_bytes("runs", lambda b: b[: len(b) // 2]), RUNS),
    "an empty file": (with_bytes("runs", lambda b: b""), RUNS),
    "a text in place of metrics": (with_bytes("metrics", lambda b: b"nothing"), READERS - {"list"}),
    "metrics with changed bytes": (with_bytes("metrics", lambda b: b[:60] + bytes(255 - x for x in b[60:200]) + b[200:]), READERS - {"list"}),
    "a history cut short": (with_bytes("history", lambda b: b[:-1]), {"compact", "merge"}),
    "units cut short": (with_bytes("units", lambda b: b[:-1]), {"compact", "merge"}),
    "a summary cut short": (with_bytes("summaries", lambda b: b[:-1]), {"merge", "compare", "metrics"}),
    "an evaluation's row cut short": (
        with_bytes("evaluations", lambda b: b[:-1]),
        EVERY | {"metrics"},
    ),
    "a foreign Parquet file": (in_place("metrics/x.parquet", lambda p: pq.write_table(pa.table({"x": [1]}), p)), READERS - {"list", "show"}),
    "a newer schema": (newer_schema, READERS - {"list"}),
    "a column is missing": (rewritten(lambda rows: rows.drop_columns(["value"]), "metrics"), {"compare", "show", "compact", "merge"}),
    "the key is missing": (rewritten(lambda rows: rows.drop_columns(["run_id"]), "runs"), RUNS),
    "a column of texts for numbers": (rewritten(column("value", pa.string()), "metrics"), {"compare", "show", "compact", "merge"}),
    "a column of numbers for texts": (rewritten(column("status", 3), "runs"), RUNS),
    "a column of texts for times": (rewritten(column("started", "yesterday"), "runs"), RUNS - {"list"}),
    "a column twice": (rewritten(lambda rows: rows.append_column("status", rows["status"]), "runs"), RUNS),
    "bad JSON": (rewritten(column("training", "{"), "runs"), EVERY),
    "JSON that is no object": (rewritten(column("sources", "[1]"), "runs"), RUNS - {"list"}),
    "JSON nested too deeply": (rewritten(column("sources", DEEP), "runs"), RUNS - {"list"}),
    "no run id": (rewritten(column("run_id", pa.array([None], pa.string())), "runs"), RUNS),
    "text that is not UTF-8": (not_utf8, {"compare", "show", "compact", "merge", "metrics"}),
    "copied metrics": (copied("metrics", "copy.parquet"), READERS - {"list", "show"}),
    "a copied row": (copied("runs", "copy.parquet"), OTHERS),
    "a row twice in a file": (rewritten(lambda rows: pa.concat_tables([rows, rows]), "runs"), RUNS),
    "copied history": (copied("history", "a copy of it.parquet"), {"compact", "merge"}),
    "a file that is named as a compact one": (in_place("metrics/compact-foo.parquet", text("")), READERS - {"list"}),
    "a copy that is named as a compact one": (copied("runs", "compact-foo.parquet"), READERS),
    "a compact file of summaries": (
        copied("summaries", "compact-000001.parquet"),
        {"run", "worker", "compact", "merge", "compare", "metrics", "evaluate"},
    ),
    "a pipe in place of metrics": (in_place("metrics/x.parquet", os.mkfifo), READERS - {"list", "show"}),
    "a pipe in place of a row": (in_place("runs/x.parquet", os.mkfifo), OTHERS),
    "a folder in place of a row": (in_place("runs/x.parquet", lambda p: p.mkdir()), OTHERS),
    "a link to nothing": (in_place("runs/x.parquet", lambda p: p.symlink_to("nowhere")), OTHERS),
    "a link to itself": (in_place("runs/x.parquet", lambda p: p.symlink_to(p)), OTHERS),
    "a file in place of logs": (in_place("logs", text("")), WRITERS | {"merge"}),
    "a file in place of metrics": (in_place("metrics", text("")), READERS - {"list"}),
    "a file in place of leases": (in_place("leases", text("")), LEASES),
    "a file in place of the queue": (in_place("queue", text("")), WRITERS | {"status", "cancel"}),
    "a file in place of states": (in_place("states", text("")), WRITERS | {"plan", "status"}),
    "a file in place of checkpoints": (in_place("checkpoints", text("")), WRITERS | {"merge", "show"}),
    "a folder named as a lease": (in_place("leases/RUN.1.json", lambda p: p.mkdir()), LEASES),
    "a pipe named as a lease": (in_place("leases/RUN.1.json", os.mkfifo), LEASES),
    "a lease that cannot be read": (in_place("leases/RUN.1.json", lambda p: p.symlink_to("/proc/self/mem")), LEASES),
    "a lease without content": (in_place("leases/RUN.1.json", text("")), {"status", "compact"}),
    "a lease with a text for a number": (in_place("leases/RUN.1.json", lease(pid="seven")), {"status", "compact"}),
    "a lease with a number for a text": (in_place("leases/RUN.1.json", lease(about=3, since=4)), {"status", "compact"}),
    "a lease that is a list": (in_place("leases/RUN.1.json", text("[1, 2]")), {"status", "compact"}),
    "a lease nested too deeply": (in_place("leases/RUN.1.json", text(DEEP)), {"status", "compact"}),
    "a progress file of texts": (in_place("leases/RUN.progress", progress('["1", "2", "3"]')), {"status", "compact"}),
    "a progress file of one number": (in_place("leases/RUN.progress", progress("[1]")), {"status", "compact"}),
    "a progress file of something that is no number": (in_place("leases/RUN.progress", progress("[1, 2, NaN]")), {"status", "compact"}),
    "a progress file of a number without end": (in_place("leases/RUN.progress", progress(f"[1, {'9' * 4000}, 1]")), {"status", "compact"}),
    "a progress file that is a pipe": (
        in_place("leases/RUN.progress", lambda p: (lease()(p.with_name(f"{p.stem}.1.json")), os.mkfifo(p))),
        {"status", "compact"},
    ),
    "a queue file that is no JSON": (in_place("queue/s.1.json", text("{")), QUEUE | {"cancel"}),
    "a queue file nested too deeply": (in_place("queue/s.1.json", text(DEEP)), QUEUE | {"cancel"}),
    "a queue file that is a list": (in_place("queue/s.1.json", text("[3]")), QUEUE | {"cancel"}),
    "a queue file that is a pipe": (in_place("queue/s.1.json", os.mkfifo), QUEUE | {"cancel"}),
    "a queue file that cannot be read": (in_place("queue/s.1.json", lambda p: p.symlink_to("/proc/self/mem")), QUEUE | {"cancel"}),
    "a queue file of a newer version": (queued(lambda content: content.update(version=9)), QUEUE | {"cancel"}),
    "a queue file without its runs": (queued(lambda content: content.update(jobs=[{"id": "a"}])), QUEUE | {"cancel"}),
    "a queue file with a text for a number": (queued(lambda content: content["jobs"][0]["run"].update(seed="one")), QUEUE | {"cancel"}),
    "a queue file with options that are a number": (
        queued(lambda content: content["jobs"][0]["evaluations"][0].update(options=3)),
        QUEUE | {"cancel"},
    ),
    "a merge that was interrupted": (in_place(UNFINISHED_MERGE, text("")), READERS),
}
COMPACTED = {
    "compacted rows cut short": (with_bytes("runs", lambda b: b[:-20]), RUNS),
    "compacted metrics cut short": (with_bytes("metrics", lambda b: b[: len(b) // 3]), READERS - {"list"}),
    "compacted units as a pipe": (in_place("units/compact-000001.parquet", lambda p: (p.unlink(), os.mkfifo(p))), {"compact", "merge"}),
    "compacted rows with bad JSON": (rewritten(column("training", "no"), "runs"), EVERY),
    "compacted rows with texts for numbers": (
        rewritten(column("seed", pa.string()), "runs"),
        {"compare", "show", "list", "compact", "merge", "evaluate"},
    ),
    "a row twice in compacted ones": (rewritten(lambda rows: pa.concat_tables([rows, rows]), "runs"), RUNS),
    "a compact file of another name": (copied("runs", "compact-new.parquet"), READERS),
}
CASES = [(name, "plain", *case) for name, case in PLAIN.items()] + [(name, "compacted", *case) for name, case in COMPACTED.items()]


def words(command, folder, run_id):
    return {
        "run": ("run", folder.parent / "suite.yaml", "--results", folder, "--cpus", "1"),
        "plan": ("plan", folder.parent / "suite.yaml", "--results", folder),
        "compare": ("compare", folder, "--rows", "family", "--from", "runs"),
        "status": ("status", "--results", folder),
        "show": ("show", run_id, "--results", folder),
        "list": ("list", "runs", "--results", folder),
        "metrics": ("list", "metrics", "--results", folder),
        "evaluate": ("evaluate", folder, "--evaluation", "elbo", "--engine", "test_inline"),
        "worker": ("worker", folder, "--cpus", "1"),
        "compact": ("compact", "--results", folder),
        "merge": ("merge", folder, "--into", folder.parent / "merged"),
        "cancel": ("cancel", "--results", folder),
    }[command]


def contents(folder, *but):
    """Every file's bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and path.relative_to(folder).parts[0] not in but)
    return {path: path.read_bytes() for path in files}


def rows_of(folder):
    return {table: Store(folder).read(table).sort_values(list(TABLES[table])).reset_index(drop=True) for table in TABLES}


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of the whole folder, plain or compacted."""

    def make(kind):
        base, ids = whole
        shutil.copy(base / "suite.yaml", tmp_path)
        shutil.copytree(base / kind, tmp_path / "results")
        return tmp_path / "results", ids[0]

    return make


@pytest.mark.parametrize("kind", ["plain", "compacted"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works_on_the_whole_folder(folder, cli, command, kind):
    path, run_id = folder(kind)
    before = rows_of(path)
    answer = cli(*words(command, path, run_id))
    assert answer.code == 0, answer.err
    assert all(frame.equals(before[table]) for table, frame in rows_of(path).items())


@pytest.mark.parametrize(("kind", "damage", "refusing"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_command_names_the_file_or_does_without_it(folder, cli, kind, damage, refusing):
    path, run_id = folder(kind)
    named = damage(path, run_id)
    for command in COMMANDS:
        before = contents(path, "queue", "leases", "plans")
        answer = cli(*words(command, path, run_id))
        told = f"{command}: {answer.code}: {answer.out}{answer.err}"
        assert "Traceback" not in told
        assert answer.code == (2 if command in refusing else 0), told
        if answer.code:
            assert answer.err.startswith("error: "), told
            assert answer.err.count("\n") == 1, told
            assert str(named) in answer.err or (command == "compact" and "being worked on" in answer.err), told
        if command == "compact" and not answer.code:
            assert contents(path, "queue", "leases", "plans").keys() < before.keys() | set(path.glob("*/compact-*"))
        else:
            assert contents(path, "queue", "leases", "plans") == before, told


def test_a_damaged_lease_is_taken_over_once_it_is_old(folder, cli):
    path, run_id = folder("plain")
    for number, content in enumerate(("", "[1]", '{"owner": 1, "pid": "seven"}')):
        damaged = path / "leases" / f"{run_id}.{number + 1}.json"
        damaged.parent.mkdir(exist_ok=True)
        damaged.write_text(content)
        os.utime(damaged, (time.time() - STALE_AFTER - 5,) * 2)
    assert cli("status", "--results", path).code == 0
    assert Leases(path / "leases").acquire(run_id)
    assert [p.name for p in listed(path / "leases")] == [f"{run_id}.4.json"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["runs", "metrics", "leases", "queue", "states"])
def test_a_folder_that_cannot_be_listed_is_an_error_and_nothing_is_lost(folder, command, place, tmp_path):
    """With permissions that bind, as root's own do not."""
    path, run_id = folder("plain")
    (path / "leases").mkdir(exist_ok=True)
    (path / "states").mkdir(exist_ok=True)
    before = contents(path, "queue")
    (path / place).chmod(0)
    code, out = forked_cli(words(command, path, run_id), obey_permissions, tmp_path / "out")
    (path / place).chmod(0o700)
    needed = {"runs": READERS, "metrics": READERS - {"list"}, "leases": LEASES, "queue": QUEUE | {"compact", "cancel"}}
    assert code == (2 if command in needed.get(place, WRITERS | {"plan", "status"}) else 0), out
    if code:
        assert out.splitlines()[-1].startswith("error: ")
        assert f"{path / place} cannot be read: Permission denied" in out or (place == "leases" and "is not writable" in out), out
    assert "Traceback" not in out
    if code or command != "compact":
        assert contents(path, "queue") == before


def test_a_training_state_that_cannot_be_read_is_kept_and_fails_no_run(whole, registry, tmp_path):
    """It is as good as ever when it can be read again."""
    plan, *_ = planned(whole[0] / "suite.yaml", tmp_path, Launch(), Changes())
    job, store = Selection().job(plan.runs[0]), Store(tmp_path)
    store.state_path(job.run.id).mkdir(parents=True)
    with pytest.raises(FolderError, match=r"states/.*\.safetensors cannot be read: Is a directory"):
        execute(job, registry, store, "cpu")
    assert store.state_path(job.run.id).exists()
    assert store.read("runs").empty


@pytest.mark.parametrize("name", ["runs", "metrics"])
def test_a_file_that_cannot_be_read_is_not_called_damaged(folder, name, tmp_path):
    path, run_id = folder("plain")
    fragment(path, name).chmod(0)
    for command in ("compare", "plan", "compact", "merge"):
        code, out = forked_cli(words(command, path, run_id), obey_permissions, tmp_path / "out")
        assert code == 2
        assert f"{fragment(path, name)} cannot be read: Permission denied" in out
        assert "damaged" not in out
        assert "remove" not in out
