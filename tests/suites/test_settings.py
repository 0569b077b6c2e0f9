"""Settings, and the identity of runs."""

import pytest
from pydantic import ValidationError

from latentbench.errors import UserError
from latentbench.suites.phase import Phase
from latentbench.suites.settings import Run, Training


def test_a_warm_up_that_takes_the_whole_run_is_refused():
    for words in ({"epochs": 3, "warmup": "5 epochs"}, {"steps": 10, "warmup": "10 steps"}, {"steps": 10, "warmup": 1}):
        with pytest.raises(ValidationError, match=r"a warm-up of .* takes the whole run"):
            Training(**words)
    assert Training(steps=10, warmup="5 epochs").scaled(0.1).warmup == Phase(0.5, "epochs")


@pytest.mark.parametrize("value", ["5 epoch", "5 epochs", "1e3 steps", 0.5, 0, 1])
def test_durations(value):
    expected = {"5 epoch": "5 epochs", "1e3 steps": "1000 steps"}.get(value, value)
    assert Training(steps=1, beta_anneal=value).model_dump()["beta_anneal"] == expected


@pytest.mark.parametrize("value", ["5", "five epochs", "-1 steps", 1.5, -0.1, "e epochs"])
def test_bad_durations(value):
    with pytest.raises(ValidationError, match=r"duration"):
        Training(steps=1, warmup=value)


@pytest.mark.parametrize("lengths", [{}, {"epochs": 1, "steps": 1}])
def test_a_run_has_one_length(lengths):
    with pytest.raises(ValidationError, match=r"either epochs or steps"):
        Training(**lengths)


def test_the_id_changes_with_everything_that_decides_numbers(make_run):
    base = make_run().run
    changes = [
        {"seed": 2}, {"beta": 2.0}, {"latent_dim": 7}, {"training__learning_rate": 0.1}, {"encoder_options__bias": True}, {"dtype": "float64"},
        {"limit_data": 0.5}, {"family": "gaussian"}, {"training__temperature_stop": 0.1},
    ]  # fmt: skip
    ids = {make_run(**change).run.id for change in changes} | {base.id}
    assert len(ids) == len(changes) + 1
    assert base.id == make_run().run.id
    assert base.model_copy(update={"device": "cuda"}).id != base.id
    assert base.model_copy(update={"plugins": {**base.plugins, "family:poisson": "other"}}).id != base.id
    assert base.model_copy(update={"sources": {"digits.csv.gz": "0"}}).id != base.id


def test_defaults_written_out_do_not_change_the_id(make_run):
    assert make_run(beta=1.0, training__temperature_stop=0.05, encoder_options__bias=False, likelihood="gaussian").run.id == make_run().run.id


@pytest.mark.parametrize(
    ("family", "unread"),
    [
        ("gaussian", {"training__temperature_stop": 0.3}),
        ("test_lca", {"beta": 3.0, "estimator": "exact", "encoder_options__bias": True, "training__beta_anneal": 0.1}),
    ],
)
def test_what_a_run_does_not_read_does_not_split_it(family, unread, make_run):
    assert make_run(family=family, **unread).run.id == make_run(family=family).run.id


def test_exact_reads_no_temperature(make_run):
    assert make_run(estimator="exact", training__temperature_stop=0.3).run.id == make_run(estimator="exact").run.id
    assert make_run(estimator="mc", training__temperature_stop=0.3).run.id != make_run().run.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "possion"}, "unknown family 'possion' .did you mean 'poisson'"),
        ({"estimator": None}, "estimator: is missing"),
        ({"latent_dim": "many"}, "latent_dim: .*integer.*'many'"),
        ({"training__learning_rate": -1.0}, "training.learning_rate: .*greater than 0"),
        ({"decoder_options__bias": "perhaps"}, "decoder_options.bias: .*boolean"),
        ({"dtype": "float16"}, "dtype: .*'float32', 'float64', 'bfloat16' or 'tf32'"),
    ],
)
def test_wrong_values_are_named(changes, message, make_run):
    with pytest.raises(UserError, match=message):
        make_run(**changes)


@pytest.mark.parametrize("changes", [{}, {"family_options__log_rate_limit": 2.0}, {"family": "test_lca", "estimator": None, "encoder": None}])
def test_a_row_gives_back_the_run(make_run, changes):
    run = make_run(**changes).run
    row = run.to_row()
    assert all(value is None or isinstance(value, (str, int, float, bool)) for value in row.values())
    assert Run.from_row(row) == run
    assert Run.from_row(row).id == run.id == row["run_id"]


def test_a_row_that_is_older_than_a_field_gives_the_run_without_it(make_run):
    run = make_run().run
    row = {name: value for name, value in run.to_row().items() if name not in ("likelihood_options", "dataset_options")}
    assert Run.from_row(row).id == run.id
    assert Run.from_row({**row, "likelihood_options": None, "dataset_options": None}).id == run.id
