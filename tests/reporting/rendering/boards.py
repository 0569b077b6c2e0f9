"""Leaderboards made by hand."""

from latentbench.measure import Measure
from latentbench.reporting.comparison import Cell, Column, Comparison, Contrast

NELBO = Measure("lower", "nats", "negative evidence lower bound")
ACCURACY = Measure("higher", "share", "accuracy of nearest neighbours", index="labels")


def cell(mean, half=None, n=5, **fields):
    return Cell(mean, *((None, None) if half is None else (mean - half, mean + half)), n=n, **fields)


def board(rows, columns, cells, row_names=("family",), column_names=(), **fields):
    """A leaderboard of `nelbo` unless columns are `Column`s."""
    columns = [column if isinstance(column, Column) else Column("nelbo", column, "lower") for column in columns]
    fields = {"split": "validation", "interval": "99 % Student t interval over seeds", "measures": {"nelbo": NELBO}} | fields
    return Comparison(row_names, column_names, rows, columns, cells, **fields)


def ties(**fields):
    """Two tied rows, a worse one with a failed seed, and one without values."""
    cells = [
        [cell(133.12, 0.8, star=True, letters="a", rank=(1, 2))],
        [cell(133.5, 0.6, star=True, letters="ab", rank=(1, 3), contrast=Contrast(0.38, 0.5, 5, True, 0.93, 0.02, 0.04, 12))],
        [cell(134.6, 0.7, 4, letters="b", rank=(2, 3), failed=1, marks="1", contrast=Contrast(1.48, 0.41, 4, True, 0.2, 0.0001, 0.0002, None))],
        [cell(float("nan"), n=0, failed=3, missing=1, nan=1)],
    ]
    fields = {"footnotes": {"1": "limit_data is 0.5"}, "notes": ["a note"], "constant": {"dataset": "mnist"}, "hidden": {"summaries": 2}} | fields
    return board([("gaussian",), ("poisson",), ("laplace",), ("categorical",)], [()], cells, **fields)


def based():
    """The same with a baseline."""
    return ties(baseline=("gaussian",))


def wide(datasets=("cifar16", "mnist", "van_hateren"), encoders=("conv", "linear"), families=8):
    """Rows of two settings, one of which is the same for all, by columns of two."""
    columns = [(dataset, encoder) for dataset in datasets for encoder in encoders]
    cells = [
        [cell(100 + 10 * j + i, 0.12 * (i + 1), star=i == 0, letters="abcdefgh"[i], rank=(i + 1, i + 1)) for j in range(len(columns))]
        for i in range(families)
    ]
    rows = [(f"family{i}", "mc") for i in range(families)]
    return board(rows, columns, cells, ("family", "estimator"), ("dataset", "encoder"), ranks=[i + 1.0 for i in range(families)])


def several():
    """Two metrics by data set; an accuracy has an index in its name."""
    columns = [Column(metric, (dataset,), better) for dataset in ("mnist", "digits") for metric, better in METRICS]
    cells = [[cell(41.6, 0.12, star=True), cell(0.932, 0.011)] * 2, [cell(40.7, 0.5), None, cell(39.0, 0.5), cell(0.2, n=1)]]
    return board([("poisson",), ("gaussian",)], columns, cells, (("family"),), ("dataset",), measures={"nelbo": NELBO, "knn_accuracy": ACCURACY})


METRICS = (("nelbo", "lower"), ("knn_accuracy at 200", "higher"))
HOSTILE = (
    "[bold]x[/bold]",
    "a|b",
    "\x1b[31mred",
    "<script>alert(1)</script>",
    r"100 % & $x_1^2$ #{~}\end{tabular}",
    "=1+1",
    "x\ny",
    "\u202eevil",
    "[x]",
)


def hostile():
    """Names that mean something to every format."""
    rows = [(name, "") for name in HOSTILE]
    cells = [[cell(float(i), 0.1, marks="†", letters="a")] for i in range(len(rows))]
    return board(
        rows, [(HOSTILE[0],)], cells, ("family", "[red]"), ("data|set",), constant={"a_b": "</table>"}, footnotes={"†": "*see*\x07"}, notes=["{note}"]
    )


def flat():
    """Two rows by ten columns, which fit better as ten rows by two columns."""
    columns = [(f"data{j}", "0.5") for j in range(10)]
    cells = [[cell(41.5 + j + i, 0.12, star=not i, rank=(i + 1, i + 1)) for j in range(10)] for i in range(2)]
    return board([("poisson",), ("gaussian",)], columns, cells, column_names=("dataset", "beta"), ranks=[1.0, 2.0])


def single():
    """One row and no setting that names columns."""
    return board([("poisson", "mc")], [()], [[cell(41.6, 0.12)]], ("family", "estimator"))


def bare():
    """Rows without any column."""
    return board([("poisson",), ("gaussian",)], [], [[], []])


def odd():
    """Published, censored, tiny, huge and lopsided values, and cells without runs."""
    cells = [
        [cell(167.2, 0.1, None), cell(5000.0, None, 5, censored=1), cell(3.2e-9, 1.5e-10)],
        [cell(162.25, 0.15, None, letters="a"), cell(250.0, 0.0, 5), cell(0.5, 0.01)],
        [None, cell(1200.0, n=1, infinite=4), Cell(4.9, 3.1, 8.2, n=5)],
    ]
    columns = [Column(name, (), better) for name, better in (("nelbo", "lower"), ("labels", "lower"), ("ratio", None))]
    return board([("poisson",), ("gaussian",), ("laplace",)], columns, cells)


BOARDS = {made.__name__: made for made in (ties, based, wide, several, hostile, flat, single, bare, odd)}
