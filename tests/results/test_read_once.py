"""Tables that are read once in a context."""

import pytest

from latentbench.results.fragments import Tables, read_once
from latentbench.results.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.write_rows("history", "a1", [{"run_id": "a1", "step": 1, "name": "loss", "value": 2.0}])
    return store


def test_a_context_shows_one_state_of_a_folder(store):
    with read_once():
        before = store.read("history", ["value"])
        store.write_rows("history", "b2", [{"run_id": "b2", "step": 1, "name": "loss", "value": 3.0}])
        assert Store(store.path).read("history", ["value"]).equals(before)
    assert store.read("history", ["value"])["value"].tolist() == [2.0, 3.0]


def test_a_table_is_read_once_whatever_columns_are_asked_for(store, monkeypatch):
    read, original = [], Tables._rows
    monkeypatch.setattr(Tables, "_rows", lambda self, table, names: read.append(table) or original(self, table, names))
    with read_once():
        assert list(store.read("history", ["value", "step"])) == ["value", "step"]
        assert list(store.read("history", ["name"])) == ["name"]
        store.read("runs")
    assert read == ["history", "runs"]


def test_folders_are_told_apart(store, tmp_path):
    other = Store(tmp_path / "other")
    with read_once():
        assert len(store.read("history")) == 1
        assert len(other.read("history")) == 0
