"""Evaluations as the command line names them."""

import pytest

from latentbench.errors import UserError
from latentbench.suites.evaluation_text import parse_evaluation


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("elbo", "elbo", {}),
        (" elbo ( ) ", "elbo", {}),
        ("knn(readout=mean)", "knn", {"readout": "mean"}),
        ("knn(sizes=[200, 1000], draws=1e1)", "knn", {"sizes": [200, 1000], "draws": 10.0}),
        ("elbo(split=['validation', 'test'])", "elbo", {"split": ["validation", "test"]}),
        ('x(a="1, 2", b={c: [1, 2], d: e}, f=g=h)', "x", {"a": "1, 2", "b": {"c": [1, 2], "d": "e"}, "f": "g=h"}),
        ("x-y.z+1(a=no, b=true)", "x-y.z+1", {"a": "no", "b": True}),
    ],
)
def test_a_name_and_options(text, name, options):
    spec = parse_evaluation(text)
    assert (spec.name, dict(spec.options)) == (name, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a name, or a name with options"),
        ("knn(", "expected a name, or a name with options"),
        ("(readout=mean)", "expected a name, or a name with options"),
        ("knn(readout=mean) x", "expected a name, or a name with options"),
        ("knn(readout)", "expected options like key=value, got 'readout'"),
        ("knn(=mean)", "expected options like key=value, got '=mean'"),
        ("knn(readout=mean,)", "expected options like key=value, got ''"),
        ("knn(readout=mean, readout=native)", "the option 'readout' is given twice"),
        ("knn(sizes=[1)", "cannot read the value '[1'"),
        ("knn(sizes=[1, 2)", "cannot read the value '[1, 2'"),
        ('knn(readout="mean)', "cannot read the value"),
    ],
)
def test_what_is_none_of_these(text, message):
    with pytest.raises(UserError) as error:
        parse_evaluation(text)
    assert str(error.value).startswith(f"--evaluation {text}: ")
    assert message in str(error.value)
