"""`latentbench data`, and data sets made ready before a suite runs."""

from dataclasses import replace

import pytest


@pytest.fixture(autouse=True)
def _no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("LATENTBENCH_DATA", raising=False)
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "cache"))
    for protocol in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(protocol, "http://127.0.0.1:9")  # no network, whatever the machine has


def test_list_says_where_files_are(cli, registry):
    answer = cli("data", "list")
    assert answer.code == 0
    assert all(name in answer.out for name in registry.parts["datasets"])
    line = next(line for line in answer.out.splitlines() if line.startswith("mnist "))
    assert "0 of 4 files; `latentbench data fetch mnist`" in line
    assert "paper, paper-2026" in line
    described = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines() if line}
    assert described["digits"][:6] == ["1x8x8", "unit", "yes", "flat,", "with_test,", "scale"]
    assert described["photo_patches"][:5] == ["1x16x16", "real", "no", "colour,", "with_test"]


def test_fetch_without_a_network_is_one_message(cli):
    answer = cli("data", "fetch", "mnist")
    assert answer.code == 2
    assert answer.err.startswith("error: the data file mnist/train-images-idx3-ubyte.gz")
    assert len(answer.err.splitlines()) == 1


def test_fetch_of_what_is_installed_needs_nothing(cli):
    assert cli("data", "fetch", "digits").code == 0


def test_an_unknown_data_set_is_an_error(cli):
    answer = cli("data", "verify", "mnits")
    assert answer.code == 2
    assert "did you mean 'mnist'" in answer.err


def test_verify_names_every_wrong_file(cli, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(bytes(3073))
    (folder / "data_batch_2.bin").write_bytes(bytes(3000))
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "data"))
    answer = cli("data", "verify", "cifar16")
    assert answer.code == 2
    assert "cifar16: 2 wrong, 4 missing" in answer.out
    assert "data_batch_1.bin is not the published file" in answer.err
    assert "data_batch_2.bin is cut short" in answer.err


def test_verify_says_what_is_missing_of_a_data_set_that_was_named(cli):
    answer = cli("data", "verify", "fashion_mnist")
    assert answer.code == 2
    assert "data set fashion_mnist: 4 of 4 files are missing; `latentbench data fetch fashion_mnist` gets them" in answer.err
    assert cli("data", "verify").code == 0


def test_a_file_that_cannot_be_read_is_named(cli, tmp_path, monkeypatch):
    from latentbench_datasets import mnist

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    folder = tmp_path / "cache" / "data" / "mnist"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(b"")
    source = mnist.Mnist.files[0]
    monkeypatch.setattr(mnist.Mnist, "files", [replace(source, forms=dict.fromkeys(source.forms, refuse))])
    answer = cli("data", "verify", "mnist")
    assert answer.code == 2
    assert "train-images-idx3-ubyte cannot be read: Permission denied" in answer.err


def test_a_suite_whose_data_are_missing_runs_nothing(cli, suite_file, tmp_path):
    path = suite_file(
        "name: s\nsweeps:\n  - {family: gaussian, estimator: mc, dataset: [digits, mnist], encoder: linear, decoder: linear, training: {steps: 1}}\n"
    )
    answer = cli("run", path, "--results", tmp_path / "results")
    assert answer.code == 2
    assert "mnist/train-images-idx3-ubyte.gz" in answer.err
    assert not (tmp_path / "results" / "runs").exists()
