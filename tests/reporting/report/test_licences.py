"""Terms of data."""

import pytest

from latentbench.reporting.extensions import load_reporting
from latentbench.reporting.extensions import problem as reporting_problem
from latentbench.reporting.notice import Notice
from latentbench.reporting.report.licences import licences
from latentbench.reporting.report.stored import Stored
from tests.reporting.report.hostile import many


def test_every_data_set_of_ours_has_a_notice(registry):
    """And every notice is about one that there is."""
    ours = {name for name, part in registry.parts["datasets"].items() if registry.providers[part] == "latentbench_datasets"}
    named = [name for part in load_reporting().parts["notices"].values() for name in part.datasets]
    assert sorted(named) == sorted(ours)


def test_terms_of_the_data_are_shown_and_unknown_ones_are_said_to_be(quick, tmp_path):
    many(tmp_path, 1, dataset="theirs")
    (tmp_path / "README.md").write_text("free to use <b>")
    table, folder = licences(Stored.read([quick.folder, tmp_path]))[:2]
    terms = {row[0].text: row[2].text for row in table.rows}
    assert terms["digits"] == "CC BY 4.0"
    assert terms["theirs"].startswith("not known")
    assert folder.blocks[0].text == "free to use <b>"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [({"terms": ""}, "has terms = ''"), ({"datasets": "mnist"}, "has datasets = 'mnist'"), ({"datasets": ()}, "has datasets = ()")],
)
def test_a_notice_without_terms_or_data_sets_is_refused(changed, problem):
    about = {"name": "n", "terms": "free", "by": "me", "home": "here", "datasets": ("mnist",), "__doc__": "A notice.", **changed}
    assert problem in reporting_problem(type("Wrong", (Notice,), about), Notice)
