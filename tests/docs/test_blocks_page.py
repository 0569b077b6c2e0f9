"""The example of docs/extending/blocks.md runs."""

import re


def test_the_example_runs(root):
    page = (root / "docs" / "extending" / "blocks.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names = {}
    exec(source, names)
    assert names["relaxed"].shape == names["hard"].shape == (3,)
