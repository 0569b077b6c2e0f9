"""`latentbench study` from the command line."""

from latentbench.results.store import Store


def test_a_study_is_run_and_stored(tmp_path, cli):
    options = ("relaxations=cubic,sigmoid", "rates=2", "temperatures=0.1", "trials=2", "samples=20")
    answer = cli("study", "relaxation_quality", "--results", tmp_path / "r", *(text for option in options for text in ("--option", option)))
    assert answer.code == 0, answer.err
    rows = Store(tmp_path / "r").read("summaries")
    assert answer.out == f"{len(rows)} values of relaxation_quality in {tmp_path / 'r'}\n"
    assert set(rows["family"]) == {"poisson"}


def test_a_wrong_option_or_name_is_one_message(tmp_path, cli):
    for arguments, message in ((("relaxation_quality", "--option", "rates=-1"), "numbers above 0"), (("nothing",), "unknown study 'nothing'")):
        answer = cli("study", *arguments, "--results", tmp_path / "r")
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert message in answer.err
    assert not (tmp_path / "r").exists()


def test_studies_are_listed_with_their_options(cli):
    answer = cli("list", "studies")
    assert answer.code == 0
    assert "relaxation_quality (latentbench_relaxations)\n" in answer.out
    assert "tail=0.001" in answer.out
