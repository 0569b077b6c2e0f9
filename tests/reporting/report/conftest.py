"""Made-up results that pages are about."""

import pytest

from tests.made import make


@pytest.fixture(scope="session")
def quick(root, registry, tmp_path_factory):
    """All runs of quick.yaml, made up, three of them failed."""
    return make(root / "suites" / "quick.yaml", tmp_path_factory.mktemp("quick") / "results", failed=0.06, registry=registry)
