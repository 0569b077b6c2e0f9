"""What tuning says of itself."""

from types import SimpleNamespace

from latentbench.suites.expand import Changes
from latentbench.tuning.summary import heading

TUNING = SimpleNamespace(metric="nelbo", seeds=(101,))


def test_a_tuned_suite_says_what_was_changed_for_the_trials_alone():
    """Someone who reads it without the command learns that not all models were tuned, or not at their full length."""
    changes = Changes(scale=0.5, only={"family": ["gaussian"]}, seeds=(7,))
    text = heading(TUNING, [], changes=changes)
    assert "changed by --only family=gaussian --scale 0.5, and this suite is not; models that --only left out were not tuned.\n" in text
    assert "not tuned" not in heading(TUNING, [], changes=Changes(scale=0.5))
    assert "changed" not in heading(TUNING, [], changes=Changes(seeds=(7,)))
