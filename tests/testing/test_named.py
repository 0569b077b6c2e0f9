"""Finding parts by name, and their options and devices as users write them."""

import pytest

from latentbench.errors import UserError
from latentbench.models.family import Family
from latentbench.models.likelihood import Likelihood
from latentbench.testing.named import known_device, options_of, part_named


def test_a_name_of_one_part(registry):
    assert part_named("lca", registry).name == "lca"


@pytest.mark.parametrize(("kind", "base"), [("family", Family), ("likelihood", Likelihood)])
def test_the_kind_says_which_part_is_meant(kind, base, registry):
    assert issubclass(part_named("gaussian", registry, kind), base)


@pytest.mark.parametrize("kind", ["dataset", "data set"])
def test_the_kind_may_be_written_in_one_word_or_two(kind, registry):
    assert part_named("digits", registry, kind).name == "digits"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("gaussian", None, "'gaussian' is a family and a likelihood; say which with --kind"),
        ("lcaa", None, r"unknown part 'lcaa' \(did you mean 'lca'\?\)"),
        ("lca", "famly", r"unknown kind 'famly' \(did you mean 'family'\?\); known: .*dataset"),
        ("lca", "likelihood", "lca"),
    ],
)
def test_what_is_no_part_is_refused(name, kind, message, registry):
    with pytest.raises(UserError, match=message):
        part_named(name, registry, kind)


def test_no_options_are_none(registry):
    assert options_of(part_named("lca", registry), {}) is None


def test_options_that_are_given_are_checked(registry):
    lca = part_named("lca", registry)
    assert options_of(lca, {"iterations": 3}).iterations == 3
    with pytest.raises(UserError, match=r"iteration.*option of 'lca'"):
        options_of(lca, {"iteration": 3})


def test_a_device_that_is_not_here_is_refused():
    assert known_device("cpu") == "cpu"
    with pytest.raises(UserError, match="--device: no device 'abacus' here"):
        known_device("abacus")
