"""`latentbench verify`: which published value belongs to which runs, and what is said where there is none."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from latentbench_poisson import Poisson

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.reporting import Derived, select
from latentbench.reporting.expected import fits, records_of, settings_of_row
from latentbench.reporting.verdicts import Verdict
from latentbench.reporting.verify import verify
from latentbench.results.asked import Asked
from latentbench.results.store import Store
from latentbench.suites.expand import Changes
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite
from tests.reporting.verified import COMMON, SEEDS, SUITE, World


@pytest.fixture
def world(tmp_path, registry):
    return World(tmp_path, registry)


def verified(world, *folders):
    """The lines by family."""
    return {line.settings["family"]: line for line in verify(world.suite, folders or [world.results.path]).lines}


def about(mean, spread=0.1):
    return [mean + spread * step for step in SEEDS]


def at(day):
    return datetime(2026, 1, day, tzinfo=UTC)


def test_every_verdict(world):
    world.print_table({"poisson": (40.0, 0.1), "gaussian": (40.0, 0.1), "laplace": (40.0, 0.1), "categorical": (40.0, 0.1)})
    world.run("poisson", about(40.1))
    world.run("gaussian", about(45.0))
    world.run("laplace", about(41.5, 1.0))
    found = verify(world.suite, [world.results.path])
    assert [line.verdict for line in found.lines] == [Verdict.SAME, Verdict.DIFFERENT, Verdict.CANNOT_TELL, Verdict.NOT_RUN]
    assert found.failed
    assert dict(found.tables) == {"published/table": {Verdict.SAME: 1, Verdict.DIFFERENT: 1, Verdict.CANNOT_TELL: 1, Verdict.NOT_RUN: 1}}
    assert found.lines[2].judgement.more > 0
    assert found.lines[3].reason == "no run of it is there"


def test_one_seed(world):
    world.suite.write_text(SUITE + "verify: {bars: 5}\n")
    world.print_table({"poisson": (40.0, 0.5), "gaussian": (40.0, 0.5), "laplace": (40.0, None)})
    for family, value in (("poisson", 41.0), ("gaussian", 43.0), ("laplace", 40.0)):
        world.run(family, [value])
    found = verified(world)
    assert found["poisson"].verdict == Verdict.CONSISTENT
    assert found["gaussian"].verdict == Verdict.INCONSISTENT
    assert (found["laplace"].verdict, found["laplace"].reason) == (Verdict.CANNOT_TELL, "one seed, and a published value without a bar")
    notes = verify(world.suite, [world.results.path]).notes
    assert notes[0] == "2 values with one seed of our own: of 100 that agree one is inconsistent by chance"


def test_only_what_is_different_or_inconsistent_fails(world):
    world.print_table({"poisson": (40.0, 0.1), "gaussian": (40.0, 0.1), "laplace": (40.0, 0.1)})
    world.run("poisson", about(40.1))
    world.run("laplace", about(41.5, 1.0))
    assert not verify(world.suite, [world.results.path]).failed


@pytest.mark.parametrize(
    ("settings", "unit", "metric", "value", "margin"),
    [
        ("", "nats", "nelbo", 40.0, 0.8),
        ("verify: {margin: 0.1}\n", "nats", "nelbo", 40.0, 4.0),
        ("", "share of latents", "active_fraction", 0.5, 0.02),
        ("verify: {share: 0.05}\n", "share of latents", "active_fraction", 0.5, 0.05),
        ("verify: {absolute: {nelbo: 3}}\n", "nats", "nelbo", 40.0, 3.0),
        ("", "nats", "nelbo", -40.0, 0.8),
    ],
)
def test_margins(world, settings, unit, metric, value, margin):
    world.suite.write_text(SUITE + settings)
    world.print_table({"poisson": (value, 0.1)}, metric)
    world.declare(metric, unit)
    assert verified_without_runs(world)["poisson"].margin == pytest.approx(margin)


def verified_without_runs(world):
    world.run("gaussian", [1.0])  # a folder without results is no folder of results
    return verified(world)


@pytest.mark.parametrize(("bars", "seeds", "interval"), [("value", False, 0.4), ("none", False, None), ("5", True, 0.4)])
def test_bars_are_what_the_suite_says(world, bars, seeds, interval):
    world.suite.write_text(SUITE + f"verify: {{bars: {bars}}}\n")
    world.print_table({"poisson": (40.1, 0.4)})
    published = verified_without_runs(world)["poisson"].published
    assert (published.seeds, published.interval) == (seeds, interval)
    assert published.rounding == pytest.approx(0.05)


def test_rounding_is_that_of_the_table_s_finest_number(world):
    world.print_table({"poisson": (0.23, 0.0), "gaussian": (0.246, 0.01)}, "active_fraction")
    assert verified_without_runs(world)["poisson"].published.rounding == pytest.approx(0.0005)


def test_published_runs_are_a_row_a_seed(world):
    for name in ("summaries", "evaluations"):
        assert not (world.published.path / name).exists()
    rows = [{"run_id": f"p{i}", **COMMON, "family": "poisson", "seed": i, "status": "done"} for i in range(5)]
    world.published.write_rows("runs", "table", rows)
    metric = {"evaluation": "published", "evaluation_id": "published", "split": "validation", "metric": "nelbo"}
    world.published.write_rows("metrics", "table", [{**metric, "run_id": f"p{i}", "value": value} for i, value in enumerate(about(40.0))])
    world.run("poisson", about(40.05))
    line = verified(world)["poisson"]
    assert (line.verdict, line.published.sample.n, line.published.rounding) == (Verdict.SAME, 5, 0)
    assert line.published.sample.variance == pytest.approx(np.var(about(40.0), ddof=1))


def test_published_seeds_that_count_twice_are_refused(world):
    rows = [{"run_id": f"p{i}", **COMMON, "family": "poisson", "seed": 1, "status": "done"} for i in range(2)]
    world.published.write_rows("runs", "table", rows)
    metric = {"evaluation": "published", "evaluation_id": "published", "split": "validation", "metric": "nelbo", "value": 1.0}
    world.published.write_rows("metrics", "table", [{**metric, "run_id": f"p{i}"} for i in range(2)])
    with pytest.raises(UserError, match=r"published/table: two published runs of poisson mc digits share a seed and all settings"):
        verified_without_runs(world)


def test_an_evaluation_is_chosen_by_what_measured_the_published_value(world):
    """Two evaluations measure the active units: by the authors' rule they are as published, by the other they are not."""
    plan = world.plan()
    for item in [item for item in plan.runs if item.run.family == "poisson"]:
        for evaluation in item.evaluations:
            if evaluation.name == "active_units":
                value = 0.5 if evaluation.options.get("rule") == "paper" else 0.9
                world.measure(item, "active_fraction", value + item.run.seed / 1000, evaluation.id)
        world.results.write_rows("runs", item.run.id, [{**item.run.to_row(), "status": "done"}])
    world.print_table({"poisson": (0.503, 0.001)}, "active_fraction")
    assert verified(world)["poisson"].verdict == Verdict.CANNOT_TELL
    assert verified(world)["poisson"].reason == "measured by several evaluations: active_units, active_units(rule=paper)"
    world.declare("active_fraction", "share of latents", "active_units", rule="paper")
    line = verified(world)["poisson"]
    assert (line.verdict, line.mean) == (Verdict.SAME, pytest.approx(0.503))


def test_seeds_without_a_value_are_counted_by_reason(world):
    world.print_table({"poisson": (40.0, 0.1), "gaussian": (40.0, 0.1)})
    ids = world.run("poisson", [40.0, None, 40.1, np.nan])
    (world.results.path / "metrics" / next(p.name for p in (world.results.path / "metrics").glob(f"{ids[2]}*"))).unlink()
    world.run("gaussian", [None, None])
    line = verified(world)["poisson"]
    assert line.values.by_seed == {1: 40.0}
    assert (line.values.failed, line.values.missing, line.values.unmeasured, line.values.not_finite) == (1, 1, 1, 1)
    assert verified(world)["gaussian"].reason == "2 runs failed"
    notes = verify(world.suite, [world.results.path]).notes
    assert notes[1:] == ("2 values without all seeds: some runs failed", "1 value without all seeds: some are not finite")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training": '{"batch_size": 50, "steps": 3}'}, "training.steps (3, not 30)"),
        ({"limit_data": 0.1}, "limit_data (0.1, not 1.0)"),
        ({"plugins": '{"family:poisson": "0"}'}, f"plugins.family:poisson (0, not {Poisson.version})"),
    ],
)
def test_runs_of_another_scale_share_or_version_are_not_compared(world, change, reason):
    world.print_table({"poisson": (40.0, 0.1)})
    item = world.plan().runs[0]
    row = {**item.run.to_row(), "status": "done"}
    merged = {key: json.dumps({**json.loads(row[key]), **json.loads(value)}) if isinstance(value, str) else value for key, value in change.items()}
    world.results.write_rows("runs", "0123456789abcdef", [{**row, **merged, "run_id": "0123456789abcdef"}])
    line = verified(world)["poisson"]
    assert (line.verdict, line.reason) == (Verdict.NOT_RUN, f"there are 1 runs of another {reason}")


def test_a_suite_that_was_run_with_changes_says_so(world):
    world.print_table({"poisson": (40.0, 0.1)})
    shorter = make_plan(load_suite(world.suite), world.registry, "cpu", Changes(scale=0.1))
    world.run("poisson", [40.0, 41.0], plan=shorter)
    Asked.of(shorter).write(world.results)
    found = verify(world.suite, [world.results.path])
    assert found.lines[0].reason == "there are 2 runs of another training.steps (3, not 30)"
    assert found.notes == ("runs of the suite are there with changes, and are not compared: --scale 0.1",)


def test_an_option_that_the_published_row_does_not_have_is_at_its_neutral_value(world):
    """Of two activations the one that counts is the default, which rows leave out."""
    options = "  - {family: poisson, encoder: conv, encoder_options: {activation: [leaky_relu, swish]}}\n"
    world.suite.write_text(SUITE.replace("  - family: [poisson, gaussian, laplace, categorical]\n", options))
    world.print_table({"poisson": (40.0, 0.1)}, encoder="conv")
    rare = ["activation" in item.run.encoder_options for item in world.plan().runs]
    world.run("poisson", [60.0 if other else 40.0 + place / 100 for place, other in enumerate(rare)])
    line = verified(world)["poisson"]
    assert (sum(rare), line.verdict, line.n) == (5, Verdict.SAME, 5)


def test_a_metric_that_is_measured_in_another_way_is_not_compared(world):
    world.print_table({"poisson": (0.5, 0.1)}, "active_fraction")
    world.declare("active_fraction", "share of latents", "active_units", rule="figure4")
    rule = lambda item: next(e.id for e in item.evaluations if e.options.get("rule") == "paper")  # noqa: E731
    world.run("poisson", [0.5, 0.5], "active_fraction", evaluation=rule)
    line = verified(world)["poisson"]
    assert (line.verdict, line.reason) == (Verdict.NOT_RUN, "'active_fraction' was not measured as the suite asks")


def test_runs_of_other_source_are_read_with_a_note(world):
    world.print_table({"poisson": (40.0, 0.1)})
    plan = world.plan()
    world.run("poisson", about(40.0), plan=plan, sources='{"a.py": "1", "b.py": "1"}', started=at(2))
    world.run("poisson", [40.0], plan=plan, sources='{"a.py": "0", "b.py": "1"}', started=at(1))
    world.run("gaussian", [1.0], plan=plan, sources='{"c.py": "1"}', started=at(3))
    line = verified(world)["poisson"]
    assert line.verdict == Verdict.SAME
    assert "1 of 5 runs were made by other source than the newest run" in line.notes


def test_two_models_that_have_the_published_settings_are_not_chosen_between(world):
    world.suite.write_text(SUITE.replace("latent_dim: 4", "latent_dim: [4, 8]"))
    world.print_table({"poisson": (40.0, 0.1)}, latent_dim=None)
    world.run("poisson", about(40.0))
    line = verified(world)["poisson"]
    assert (line.verdict, line.reason) == (Verdict.CANNOT_TELL, "2 models of the suite have these settings, with latent_dim: 4, 8")


def test_a_value_that_no_run_of_the_suite_has_is_not_run(world):
    world.print_table({"poisson": (40.0, 0.1), "iterative": (30.0, None)}, beta=2.0)
    line = verified_without_runs(world)["poisson"]
    assert (line.verdict, line.reason) == (Verdict.NOT_RUN, "the suite has no run with these settings")


def test_kinds_of_devices_are_not_pooled(world):
    world.print_table({"poisson": (40.0, 0.1)})
    world.run("poisson", [50.0, 51.0])
    world.run("poisson", about(40.0), plan=world.plan("cuda"))
    line = verified(world)["poisson"]
    assert (line.verdict, line.n) == (Verdict.SAME, 5)
    assert "of runs on cuda; not pooled with those on another kind of device" in line.notes


def test_of_several_folders_the_first_counts(world, tmp_path):
    world.print_table({"poisson": (40.0, 0.1)})
    other = Store(tmp_path / "other")
    world.run("poisson", [40.0, 40.1])
    world.run("poisson", about(50.0), store=other)
    assert verified(world, world.results.path, other.path)["poisson"].values.by_seed == pytest.approx({1: 40.0, 2: 40.1, 3: 50.0, 4: 50.05, 5: 50.1})


def test_a_suite_without_published_values_is_refused(world):
    world.suite.write_text(SUITE.replace("expect: published/table\n", ""))
    with pytest.raises(UserError, match="the suite expects no published table; name one with `expect`"):
        verified_without_runs(world)
    world.suite.write_text(SUITE)
    with pytest.raises(UserError, match=r"nothing to compare with: .*there is no folder results/published"):
        verified_without_runs(world)


def test_verify_without_expect_is_refused(suite_file):
    path = suite_file(SUITE.replace("expect: published/table", "verify: {margin: 0.1}"))
    with pytest.raises(UserError, match=r"suite.yaml:\d+: the suite expects no published table that this could be about"):
        load_suite(path)


@pytest.mark.parametrize("wrong", ["{margin: 0}", "{margin: -1}", "{bars: 1}", "{bars: seeds}", "{absolute: {nelbo: no}}", "{margins: 1}"])
def test_mistakes_in_what_counts_as_agreement(wrong, suite_file):
    with pytest.raises(UserError, match=r"suite.yaml:\d+: .*(margin|bars|absolute)"):
        load_suite(suite_file(SUITE + f"verify: {wrong}\n"))


def test_included_tables_are_compared_as_their_own_file_says(suite_file):
    suite_file(SUITE + "verify: {bars: 5}\n", "one.yaml")
    suite_file(SUITE.replace("published/table", "published/other"), "two.yaml")
    found = load_suite(suite_file("name: all\ninclude: [one.yaml, two.yaml]\n")).verify
    assert {table: how.bars for table, how in found.items()} == {"published/table": 5, "published/other": "value"}


class Doubled(Derived):
    """Twice the NELBO, unless that is 0."""

    name = "doubled"
    measure = Measure("lower", "nats", "Twice the NELBO.")

    def derive(self, stores, query):
        values = select(stores, replace(query, metric="nelbo"))
        if (values["value"] == 0).any():
            raise UserError("0 has no double")
        return values.assign(value=2 * values["value"])


@pytest.mark.parametrize(("mean", "verdict", "reason"), [(20.0, Verdict.SAME, ""), (0.0, Verdict.NOT_RUN, "0 has no double")])
def test_derived_metrics_are_compared_run_by_run(world, monkeypatch, mean, verdict, reason):
    loaded = SimpleNamespace(parts={"derived": {"doubled": Doubled}})
    monkeypatch.setattr("latentbench.reporting.extensions.load_reporting", lambda: loaded)
    world.print_table({"poisson": (40.0, 0.1)}, "doubled")
    world.run("poisson", [*about(mean, 0.05)[:4], None])
    line = verified(world)["poisson"]
    assert (line.verdict, line.reason, line.values.failed) == (verdict, reason, 1)
    assert line.n == (4 if verdict == Verdict.SAME else 0)


@pytest.fixture(scope="module")
def authors(tmp_path_factory, root, registry):
    """The authors' own fits as if they were runs of the suite of Tables 2 and 5."""
    suite, store = root / "suites" / "table2_5.yaml", Store(tmp_path_factory.mktemp("authors"))
    plan, published = make_plan(load_suite(suite), registry, "cpu"), Store(root / "results" / "published")
    fitted = {(row["family"], row["dataset"], row["seed"], row["run_id"]): settings_of_row(row) for row in records_of(published.read("runs"))}
    nelbo = {row["run_id"]: row["value"] for row in records_of(published.read("metrics")) if row["metric"] == "nelbo"}
    declared = json.dumps({"nelbo": asdict(Measure("lower", "nats", "Negative evidence lower bound.", less_constant=True))})
    rows = {"runs": [], "metrics": [], "evaluations": []}
    for item in plan.runs:
        own = settings_of_row(item.run.to_row())
        theirs = [key[3] for key, has in fitted.items() if key[:3] == (own["family"], own["dataset"], item.run.seed) and fits(has, own)]
        elbo = next(e for e in item.evaluations if e.name == "elbo")
        rows["runs"].append({**item.run.to_row(), "status": "done"})
        key = {"run_id": item.run.id, "evaluation": "elbo", "evaluation_id": elbo.id}
        values = [nelbo[run_id] for run_id in theirs if nelbo.get(run_id) is not None]
        rows["metrics"] += [{**key, "split": "validation", "metric": "nelbo", "value": value} for value in values]
        rows["evaluations"] += [{**key, "options": "{}", "metrics": declared}]
    for table, content in rows.items():
        store.write_rows(table, "authors", content)
    Asked.of(plan).write(store)
    return suite, store.path


@pytest.mark.parametrize(("table", "values", "untold"), [("table5", 60, (63.8, 3.4)), ("table2", 30, (0.9, 0.5))])
def test_the_authors_own_seeds_are_what_they_printed(authors, table, values, untold):
    """Every value of Table 5 but one, whose printed bar is wider than the margin; every one of Table 2 but that which their data do not give."""
    found = [line for line in verify(authors[0], [authors[1]]).lines if line.table == f"published/{table}"]
    others = [line for line in found if line.verdict != Verdict.SAME]
    assert len(found) == values
    assert [(line.verdict, line.published.value, line.published.interval) for line in others] == [(Verdict.CANNOT_TELL, *untold)]
