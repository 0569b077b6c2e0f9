"""Rows and columns of a leaderboard."""

from latentbench.reporting.rendering.grid import grid, joined, labels, shortened, spans, transposed
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import board, cell


def test_names_that_all_share_are_constant():
    made = grid(boards.hostile())
    assert made.row_names == ["family"]
    assert made.constant == {"a_b": "</table>", "[red]": "-", "data|set": "[bold]x[/bold]"}


def test_the_only_row_keeps_its_name():
    made = grid(boards.single())
    assert (made.row_names, made.rows, made.constant) == (["family", "estimator"], [("poisson", "mc")], {})


def test_transposing_exchanges_rows_and_columns():
    made = boards.wide()
    flipped = transposed(grid(made))
    assert flipped.row_names == ["dataset", "encoder"]
    assert flipped.rows[1] == ("cifar16", "linear")
    assert flipped.columns[2] == ("family2",)
    assert [[cell.mean for cell in row] for row in flipped.cells] == [[row[j].mean for row in made.cells] for j in range(6)]


def test_a_transposed_grid_names_metrics_where_nothing_else_names_its_rows():
    assert transposed(grid(boards.ties())).rows == [("nelbo",)]
    assert transposed(grid(boards.several())).rows[1] == ("mnist", "knn_accuracy at 200")


def test_settings_are_shortened_where_the_last_part_of_their_name_is_unique():
    cells = [[cell(1.0)], [cell(2.0)]]
    names = ("family", "estimator_options.covariance", "encoder_options.width", "decoder_options.width", "options.family")
    short, meant = shortened(grid(board([("a",) * 5, ("b",) * 5], [()], cells, names)))
    assert short.row_names == ["family", "covariance", "encoder_options.width", "decoder_options.width", "options.family"]
    assert meant == {"covariance": "estimator_options.covariance"}


def test_labels_leave_out_what_a_row_does_not_have_unless_two_were_the_same():
    assert labels([("a", "-", "1"), ("a", "x", "1")]) == ["a 1", "a x 1"]
    assert labels([("a", "-"), ("-", "a")]) == ["a -", "- a"]
    made = joined(grid(board([("a", "x"), ("b", "")], [()], [[cell(1.0)], [cell(2.0)]], ("family", "estimator"))))
    assert (made.row_names, made.rows) == (["family estimator"], [("a x",), ("b",)])


def test_a_label_spans_neighbours_that_share_all_labels_above_it():
    paths = [("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("a", "y")]
    assert spans(paths, 0) == [("a", 3), ("b", 1), ("a", 1)]
    assert spans(paths, 1) == [("x", 2), ("y", 1), ("y", 1), ("y", 1)]


def test_differences_are_those_from_a_baseline():
    assert grid(boards.ties()).differences_of(0) is None
    found = grid(boards.based()).differences_of(0)
    assert [str(text) for text in found] == ["baseline", "+0.38 ± 0.50 (p = .040, r = .93)", "+1.48 ± 0.41 (p < .001, r = .20)", ""]


def test_a_baseline_without_runs_is_not_called_one():
    contrast = boards.ties().cells[1][0].contrast
    made = board([("a",), ("b",)], [()], [[None], [cell(1.0, contrast=contrast)]], baseline=("a",))
    assert [str(text) for text in grid(made).differences_of(0)] == ["", "+0.38 ± 0.50 (p = .040, r = .93)"]
