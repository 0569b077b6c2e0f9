"""The published results as leaderboards: the printed tables, their bars from the fits, and what the fits can tell apart."""

import csv
import io

import pytest
from scipy import stats

from latentbench.reporting import Query, Statistics, compare, select

SEEDS = {"only": {"beta": [1], "latent_dim": [512]}, "values_of": "runs"}
CELLS = {"rows": ("family", "estimator"), "columns": ("dataset", "encoder")}


@pytest.fixture(scope="module")
def published(root):
    return root / "results" / "published"


def test_table_5_as_printed(cli, published):
    """Values and bars of five of its rows, as the paper prints them."""
    words = ("--metric", "nelbo", "--rows", "family,estimator", "--columns", "dataset,encoder", "--format", "csv")
    answer = cli("compare", published, *words)
    assert answer.code == 0
    table = {}
    for line in csv.DictReader(io.StringIO(answer.out)):
        bar = (float(line["high"]) - float(line["low"])) / 2
        table.setdefault((line["family"], line["estimator"]), {})[line["dataset"], line["encoder"]] = f"{float(line['mean']):.1f} ± {bar:.1f}"
    columns = [(dataset, encoder) for dataset in ("cifar16", "mnist", "van_hateren") for encoder in ("conv", "linear")]
    printed = {
        ("poisson", "exact"): ["162.1 ± 0.1", "167.1 ± 0.2", "39.7 ± 0.2", "41.5 ± 0.1", "162.4 ± 0.2", "168.0 ± 0.8"],
        ("poisson", "straight_through"): ["182.3 ± 0.2", "182.3 ± 0.1", "44.2 ± 0.1", "44.8 ± 0.1", "179.4 ± 0.1", "179.3 ± 0.1"],
        ("gaussian", "mc"): ["149.2 ± 0.1", "165.9 ± 0.1", "40.1 ± 0.0", "40.7 ± 0.1", "154.4 ± 0.1", "160.3 ± 0.1"],
        ("categorical", "exact"): ["180.6 ± 0.5", "177.1 ± 0.1", "59.1 ± 0.0", "56.1 ± 0.7", "186.3 ± 0.8", "174.9 ± 0.1"],
        ("laplace", "exact"): ["154.3 ± 0.1", "170.1 ± 0.1", "41.0 ± 0.0", "42.1 ± 0.1", "159.0 ± 0.2", "167.3 ± 0.0"],
    }
    assert {key: [table[key][column] for column in columns] for key in printed} == printed
    assert len(table) == 10


@pytest.mark.parametrize(("metric", "split_rows"), [("nelbo", ("family", "estimator")), ("active_fraction", ("family",))])
def test_the_bars_of_tables_3_and_5_follow_from_the_fits(published, metric, split_rows):
    query = {"metric": metric, "rows": split_rows, "columns": ("dataset", "encoder")}
    printed = compare([published], Query(**query, values_of="summaries"))
    only = {**SEEDS["only"], **({} if metric == "nelbo" else {"estimator": ["mc"]})}
    fits = compare([published], Query(**query, only=only, values_of="runs"), Statistics(interval="paper"))
    cells = {(r, c.key): cell for r, line in zip(fits.rows, fits.cells, strict=True) for c, cell in zip(fits.columns, line, strict=True)}
    step = 0.1 if metric == "nelbo" else 0.001
    checked = 0
    for row, line in zip(printed.rows, printed.cells, strict=True):
        for column, cell in zip(printed.columns, line, strict=True):
            if cell is not None and cells[row, column.key].failed == 0:
                assert cells[row, column.key].mean == pytest.approx(cell.mean, abs=0.51 * step)
                assert cells[row, column.key].interval == pytest.approx(cell.interval, abs=0.51 * step)
                checked += 1
    assert checked >= (59 if metric == "nelbo" else 18)


def test_exact_and_monte_carlo_gradients_of_the_poisson_differ_in_five_of_six_cells(published):
    """As the paper says (p < .01, paired); by scipy."""
    board = compare([published], Query("nelbo", **CELLS, **SEEDS), Statistics(baseline={"family": "poisson", "estimator": "mc"}))
    cells = board.cells[board.rows.index(("poisson", "exact"))]
    values = select([published], Query("nelbo", only={**SEEDS["only"], "family": ["poisson"]}, values_of="runs"))
    for column, cell in zip(board.columns, cells, strict=True):
        mine = values[(values["dataset"] == column.key[0]) & (values["encoder"] == column.key[1])].pivot(
            index="seed", columns="estimator", values="value"
        )
        expected = stats.ttest_rel(mine["exact"], mine["mc"])
        assert (cell.contrast.paired, cell.contrast.n) == (True, 5)
        assert cell.contrast.p == pytest.approx(expected.pvalue)
    assert sum(cell.contrast.p < 0.01 for cell in cells) == 5


def test_table_5_with_tie_groups(published):
    """On MNIST with a linear encoder the categorical and the rectified Gaussian may both be best; on patches the Gaussian's two estimators tie."""
    board = compare([published], Query("nelbo", **CELLS, **SEEDS))
    starred = {
        column.key: {row for row, line in zip(board.rows, board.cells, strict=True) if line[j] is not None and line[j].star}
        for j, column in enumerate(board.columns)
    }
    assert starred["mnist", "linear"] == {("categorical", "mc"), ("gaussian+relu", "mc")}
    for dataset, encoder in (("cifar16", "conv"), ("cifar16", "linear"), ("van_hateren", "conv"), ("van_hateren", "linear")):
        assert starred[dataset, encoder] == {("gaussian", "exact"), ("gaussian", "mc")}
    assert starred["mnist", "conv"] == {("gaussian+exp", "mc")}
