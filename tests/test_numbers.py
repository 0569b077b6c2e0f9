"""Numbers as people write them."""

import pytest
from pydantic import ValidationError

from latentbench.numbers import Duration
from latentbench.part import Options


class Example(Options):
    time: Duration = Duration.parse("90")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), (" 12 h ", 43200)])
def test_a_duration_has_seconds_and_is_written_as_it_was_given(text, seconds):
    assert Example(time=text).time.seconds == seconds
    assert Example(time=text).model_dump() == {"time": text}
    assert Example(**Example(time=text).model_dump()) == Example(time=text) == Example(time=Duration.parse(text))


@pytest.mark.parametrize("value", ["", "0", "-1s", "1d", "9" * 400 + "h", 90, None, True])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValidationError, match="expected a duration above 0, like 90s, 30m or 12h"):
        Example(time=value)
