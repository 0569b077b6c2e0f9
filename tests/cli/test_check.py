"""`latentbench check`: exit codes, what is printed, and what is refused."""

import json

import pytest

from latentbench.testing import named

QUICK = ["--only", "shapes", "--only", "rows"]


def test_a_part_that_conforms(cli):
    answer = cli("check", "poisson", "--kind", "family", *QUICK)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1].startswith("family 'poisson' conforms: 2 passed, ")


def test_every_finding_is_printed_once(cli):
    lines = cli("check", "poisson", "--kind", "family", *QUICK).out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["passed", "shapes:"], ["passed", "rows:"]]
    assert sum("shapes:" in line for line in lines) == 1


def test_a_part_that_breaks_a_law(cli, registry, monkeypatch):
    class Normalising(registry.family("laplace")):
        def posterior(self, features):
            return super().posterior(features - features.mean(0))

    monkeypatch.setattr(named, "part_named", lambda name, registry, kind: Normalising)
    answer = cli("check", "laplace", "--only", "rows")
    assert (answer.code, answer.err) == (1, "")
    assert "law: the posterior of an image depends on its own features alone" in answer.out
    assert "family 'laplace' does not conform: 1 failed" in answer.out


def test_findings_go_to_a_file_too(cli, tmp_path):
    answer = cli("check", "poisson", "--kind", "family", *QUICK, "--json", tmp_path / "found.json")
    assert answer.code == 0
    read = json.loads((tmp_path / "found.json").read_text())
    assert (read["name"], read["ok"], read["counts"]["passed"]) == ("poisson", True, 2)
    assert len(read["variants"]) > 3
    assert answer.out.splitlines()[-1].startswith("family 'poisson' conforms")


def test_a_part_is_tried_with_the_options_that_are_given_alone(cli):
    out = cli("check", "poisson", "--kind", "family", *QUICK, "--options", "truncate=false").out
    assert "tried with truncate=False\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gaussian"], "'gaussian' is a family and a likelihood; say which with --kind"),
        (["gausian"], "unknown part 'gausian' (did you mean 'gaussian'?)"),
        (["gaussian", "--kind", "familie"], "unknown kind 'familie' (did you mean 'family'?)"),
        (["laplace", "--only", "shape"], "unknown check 'shape' (did you mean 'shapes'?)"),
        (["laplace", "--options", "truncat=true"], "option of 'laplace'"),
        (["laplace", "--options", "truncate"], "--options truncate: expected key=value"),
        (["laplace", "--samples", "10"], "--samples"),
        (["laplace", "--device", "abacus"], "--device: no device 'abacus' here"),
        ([], "NAME"),
    ],
)
def test_what_is_refused(words, message, cli):
    answer = cli("check", *words)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") == 1


def test_a_part_of_a_file_is_checked(cli, tmp_path):
    (tmp_path / "mine_in_a_file.py").write_text(
        "from latentbench import hookimpl\n"
        "from latentbench.api import Likelihood\n\n\n"
        "class Mine(Likelihood):\n"
        "    name = 'mine_in_a_file'\n\n"
        "    def reconstruction(self, images, decoded):\n"
        "        return (images - decoded).flatten(1).square().mean(1)\n\n"
        "    def mean(self, decoded):\n"
        "        return decoded\n\n\n"
        "@hookimpl\n"
        "def register_likelihoods():\n"
        "    return [Mine]\n"
    )
    answer = cli("check", "mine_in_a_file", "--plugin", tmp_path / "mine_in_a_file.py", "--only", "normalised")
    assert (answer.code, answer.err) == (1, "")
    assert "failed  normalised" in answer.out
