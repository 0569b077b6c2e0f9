"""What tuning says of itself."""

from types import SimpleNamespace

from latentbench.suites.expand import Changes
from latentbench.tuning.summary import about_tuned

TUNING = SimpleNamespace(metric="nelbo", seeds=(101,))


def test_a_tuned_suite_says_what_was_changed_for_the_trials_alone():
    """Someone who reads it without the command learns that not all models were tuned, or not at their full length."""
    changes = Changes(scale=0.5, only={"family": ["gaussian"]}, seeds=(7,))
    said = "The trials were changed by --only family=gaussian --scale 0.5, and this suite is not; models that --only left out were not tuned."
    assert said in about_tuned(TUNING, [], changes)
    assert "not tuned" not in "".join(about_tuned(TUNING, [], Changes(scale=0.5)))
    assert "changed" not in "".join(about_tuned(TUNING, [], Changes(seeds=(7,))))
