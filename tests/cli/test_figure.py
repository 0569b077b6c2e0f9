"""`latentbench figure` and `latentbench list figures` from the command line."""

import os
import subprocess
import sys

import pytest

from tests.made import make
from tests.made_rows import Rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with results of figure 8, published ones, and a failed seed."""
    rows, published = Rows(tmp_path / "results"), Rows(tmp_path / "results" / "published")
    for size in (256, 512):
        for seed in (1, 2):
            rows.run(latent_dim=size, seed=seed, metrics={"elbo": {"nelbo": 100.0 + seed}}, dataset="cifar16")
    rows.run(latent_dim=512, seed=3, status="failed", dataset="cifar16")
    rows.run(latent_dim=256, seed=3, metrics={"elbo": {"nelbo": 103.0}}, dataset="cifar16")
    published.summary("nelbo", 99.0, 1.0, latent_dim=1024, dataset="cifar16")
    assert rows.path.parent == tmp_path
    assert published.path
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_figure_is_drawn_with_its_caption_and_what_is_missing(folder, cli):
    answer = cli("figure", "fig8")
    assert answer.code == 0, answer.err
    assert (folder / "fig8.pdf").read_bytes().startswith(b"%PDF")
    assert answer.out.startswith("fig8.pdf: NELBO over the number of latent dimensions")
    missing = "dataset=cifar16, encoder=linear, latent_dim=512: 1 failed of 3 seeds"
    assert f"Missing: {missing}" in answer.out
    assert f"missing: {missing}\n" in answer.err
    assert "latent_dim=1024: published, and there is no run of it here" in answer.err


def test_published_results_are_found_in_a_folder_above(folder, cli, monkeypatch):
    monkeypatch.chdir(folder / "below")
    answer = cli("figure", "fig8", "--results", folder / "results", "--out", "a.svg")
    assert answer.code == 0, answer.err
    assert "latent_dim=1024: published" in answer.err
    assert (folder / "below" / "a.svg").read_bytes().startswith(b"<?xml")
    monkeypatch.chdir("/")
    answer = cli("figure", "fig8", "--results", folder / "results", "--out", folder / "b.png")
    assert (answer.code, "published" in answer.err) == (0, False)
    assert (folder / "b.png").read_bytes().startswith(b"\x89PNG")


def test_options_and_selections_reach_the_figure(folder, cli):
    answer = cli("figure", "fig8", "--option", "datasets=cifar16", "--option", "beta=1", "--only", "latent_dim=256", "--out", "new/a.png")
    assert answer.code == 0, answer.err
    assert "latent_dim=512" not in answer.out
    assert (folder / "new" / "a.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fig88"], "unknown figure 'fig88' (did you mean 'fig8'?)"),
        (["fig8", "--option", "sizes=3"], "unknown key 'sizes'; known: family, datasets, beta, estimator"),
        (["fig8", "--option", "beta"], "--option beta: expected key=value"),
        (["fig8", "--option", "beta=x"], "--option of figure 'fig8': beta: "),
        (["fig8", "--option", "beta=-1"], "greater than 0"),
        (["fig8", "--option", "beta=1", "--option", "beta=2"], "--option beta is given twice"),
        (["fig8", "--option", "datasets=[1"], "--option datasets=[1"),
        (["fig3", "--option", "a=1"], "it has no options"),
        (["fig8", "--out", "a.jpg"], "--out: unknown kind of picture 'jpg' (did you mean 'png'?); known: pdf, png, svg"),
        (["fig8", "--out", "a"], "--out: a has no suffix; known: pdf, png, svg"),
        (["fig8", "--out", ""], "expected a path"),
        (["fig8", "--out", "results/runs/all.parquet/a.png"], "a.png cannot be written: "),
        (["fig8", "--only", "family=gausian"], "--only family=gausian: no result has it"),
        (["fig8", "--only", "famly=gaussian"], "unknown setting 'famly'"),
        (["fig8", "--results", "nowhere"], "results folder nowhere has no results (it does not exist)"),
        (["fig8", "--published", "nowhere"], "results folder nowhere has no results (it does not exist)"),
        (["fig8", "--option", "datasets=mnist"], "there is nothing to draw of figure 'fig8' in results"),
        (["fig12"], "there is nothing to draw of figure 'fig12' in results"),
        (["fig8", "--suite", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_a_mistake_is_one_message_and_no_file(folder, cli, words, message):
    before = sorted(folder.rglob("*"))
    answer = cli("figure", *words)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert sorted(folder.rglob("*")) == before


def test_what_was_drawn_before_stays_where_there_is_nothing_to_draw(folder, cli):
    (folder / "fig12.pdf").write_bytes(b"before")
    assert cli("figure", "fig12").code == 2
    assert (folder / "fig12.pdf").read_bytes() == b"before"


def test_a_suite_selects_the_runs_that_are_drawn(folder, cli, root):
    (folder / "s.yaml").write_text(
        "name: s\nsweeps: [{family: poisson, estimator: mc, dataset: digits, encoder: linear, decoder: linear, training: {steps: 9}}]"
    )
    answer = cli("figure", "fig8", "--suite", "s.yaml")
    assert answer.code == 2  # none of these runs is the suite's
    assert "that --only, --suite or --option selects" in answer.err
    made = make(root / "suites" / "quick.yaml", folder / "made", failed=0)
    answer = cli("figure", "training", "--suite", root / "suites" / "quick.yaml", "--results", made.folder, "--only", "dataset=digits")
    assert answer.code == 0, answer.err


def test_figures_are_listed_with_captions_and_options(cli):
    answer = cli("list", "figures")
    assert answer.code == 0
    assert "fig8 (latentbench_figures)\n    NELBO over the number of latent dimensions" in answer.out
    assert "options: family=poisson, datasets=['van_hateren', 'cifar16'], beta=1.0, estimator=mc" in answer.out


def test_neither_torch_nor_plugins_of_parts_are_loaded(folder):
    code = "import sys; from latentbench.__main__ import main\ntry: main()\nexcept SystemExit as e: print(e.code, *sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, "figure", "fig8"], capture_output=True, text=True, check=True)
    status, *modules = ran.stdout.splitlines()[-1].split()
    assert status in ("None", "0")
    assert not {"torch", "latentbench_evaluations", "latentbench.registry"} & set(modules)


def test_drawing_needs_no_display_and_no_home(folder):
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "HOME")}
    ran = subprocess.run([sys.executable, "-m", "latentbench", "figure", "fig8"], capture_output=True, text=True, check=False, env=bare)
    assert ran.returncode == 0, ran.stderr
