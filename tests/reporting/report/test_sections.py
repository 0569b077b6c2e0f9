"""What the sections of a page say: models, charts, failures, pictures."""

import base64

import numpy as np
from PIL import Image

from latentbench.reporting.report import page, pictures
from latentbench.reporting.report.charts import curves, plane
from latentbench.reporting.report.failures import failures
from latentbench.reporting.report.html import to_html
from latentbench.reporting.report.naming import naming
from latentbench.reporting.report.page import Code, Details
from latentbench.reporting.report.pictures import galleries
from latentbench.reporting.report.stored import Stored
from latentbench.results.store import Store
from tests.reporting.report.hostile import many


def test_settings_that_others_determine_do_not_name_models(quick):
    runs = Stored.read([quick.folder]).runs
    assert naming(runs) == ["dataset", "family", "estimator"]  # learning rates and options follow from the family


def test_a_model_is_named_by_all_that_tells_it_apart(quick):
    runs = Store(quick.folder).read("runs")
    runs.loc[runs.index[:3], "beta"] = 2.0
    names = naming(runs.assign(store="here"))
    assert "beta" in names


def test_the_plane_has_a_point_for_every_run_with_both_metrics(quick):
    stored = Stored.read([quick.folder])
    chart = plane(stored)
    single = stored.metrics[stored.metrics["metric"].isin(["kl", "reconstruction"]) & (stored.metrics["split"] == "validation")]
    wide = single.pivot(index="run_id", columns="metric", values="value")
    columns = chart.data["columns"]
    points = {
        run: (x, y) for run, x, y in zip(columns["run_id"], columns["kl"], columns["reconstruction"], strict=True) if x is not None and y is not None
    }
    expected = wide[["kl", "reconstruction"]].dropna()
    assert points.keys() == set(expected.index)
    assert all(np.allclose(points[run], expected.loc[run], rtol=1e-4) for run in points)


def test_curves_are_means_over_seeds(quick):
    stored = Stored.read([quick.folder])
    history = stored.joined(stored.history)
    series = curves(stored).data["series"]
    curve = next(one for one in series if one["model"] == "digits gaussian mc" and one["name"] == "reconstruction")
    mine = history[(history["model"] == curve["model"]) & (history["name"] == "reconstruction")].groupby("step")["value"].mean()
    assert curve["x"] == mine.index.tolist()
    assert np.allclose(curve["y"], mine, rtol=1e-4)
    assert curve["seeds"] == 2


def test_failures_are_told_with_their_tracebacks_and_logs(quick):
    run_id = next(run for run, kind in quick.failed.items() if kind == "error")
    log = Store(quick.folder).log_path(run_id)
    log.parent.mkdir(exist_ok=True)
    log.write_text("the last words")
    blocks = failures(Stored.read([quick.folder]))
    assert blocks[0].caption == f"{len(quick.failed)} runs failed"
    (details,) = [block for block in blocks if isinstance(block, Details) and block.summary.startswith("error")]
    texts = [block.text for block in details.blocks if isinstance(block, Code)]
    assert texts[0].startswith("Traceback")
    assert texts[1] == "the last words"


def test_an_id_that_leads_out_of_the_folder_reads_nothing(tmp_path):
    (tmp_path / "secret.log").write_text("secret")
    many(tmp_path / "results", 1, run_ids=["../../secret"], failed=True)
    (tmp_path / "results" / "logs").mkdir()
    html = to_html(page([tmp_path / "results"]))
    assert "secret.log" not in html
    assert "End of the log" not in html


def test_pictures_are_written_anew_limited_and_counted(quick, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PICTURES", 3)
    stored = Stored.read([quick.folder])
    (gallery,) = galleries(stored)
    assert len(gallery.pictures) == 3
    files = {path.parent.name for path in (quick.folder / "pictures").glob("*/*.png")}
    models = stored.runs[stored.runs["run_id"].isin(files)]["model"].nunique()
    assert gallery.note == f"Those of {models - 3} more models are left out to keep the page small."
    assert all(picture.uri.startswith("data:image/png;base64,") and picture.width <= 420 for picture in gallery.pictures)
    assert base64.b64decode(gallery.pictures[0].uri.partition(",")[2]).startswith(b"\x89PNG")


def test_a_damaged_picture_is_counted(tmp_path):
    (run_id,) = many(tmp_path, 1)
    folder = tmp_path / "pictures" / run_id
    folder.mkdir(parents=True)
    (folder / "dictionary-0-dictionary.png").write_bytes(b"\x89PNG and no more")
    Image.new("L", (5000, 5000)).save(folder / "samples-0-samples.png")  # larger than what is read
    kinds = {gallery.title: gallery for gallery in galleries(Stored.read([tmp_path]))}
    assert [kinds[kind].note for kind in ("dictionary", "samples")] == ["1 file could not be read."] * 2
