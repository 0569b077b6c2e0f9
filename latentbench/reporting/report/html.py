"""A page as one file of HTML: nothing is loaded from elsewhere, and nothing runs but the scripts whose hashes its policy lists."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from latentbench.errors import UserError
from latentbench.files import cache_folder, write_atomically
from latentbench.reporting.report.page import Chart, Page
from latentbench.reporting.report.text import visible

ASSETS = Path(__file__).parent / "assets"
INSTALL = "pip install 'latentbench[report]'"
UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""Characters that could end a script block, or a line of one."""


def to_html(page: Page) -> str:
    """The page as HTML.

    Raises:
        UserError: a package that reports need is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise missing(error) from error
    environment = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=_shown
    )
    environment.filters["data"] = _data
    style, scripts = (ASSETS / "page.css").read_text(), [vega(), (ASSETS / "page.js").read_text()]
    return environment.get_template("page.html").render(page=page, policy=policy(style, scripts), style=style, scripts=scripts)


def policy(style: str, scripts: list[str]) -> str:
    """The content security policy: these scripts run and no others, this style counts, pictures are in the page, and nothing is fetched."""
    rules = ["default-src 'none'", f"script-src {' '.join(map(_hash, scripts))}", f"style-src {_hash(style)}", "img-src data:"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


@cache
def vega() -> str:
    """The JavaScript of Vega, Vega-Lite and vega-embed, which has Vega's interpreter, as a script block can hold it.

    Bundling takes two seconds, so that the result is kept in the cache folder; one that cannot be written is no error.

    Raises:
        UserError: the package that has it is not installed.
    """
    try:
        import altair
        import vl_convert
    except ImportError as error:
        raise missing(error) from error
    version = ".".join(altair.VEGALITE_VERSION.split(".")[:2])
    kept = cache_folder() / f"vega-{version}-{vl_convert.__version__}.js"  # type: ignore[attr-defined]  # its stub lacks it
    with suppress(OSError, UnicodeDecodeError):  # not there yet, or not to be read
        return kept.read_text(encoding="utf-8")
    bundle = vl_convert.javascript_bundle(vl_version=version).replace("\r\n", "\n")  # type: ignore[call-arg]  # its stub lacks a default
    bundle = bundle.replace("</script", "\\x3c/script").replace("<!--", "\\x3c!--")  # both occur in texts, where an escape is the same
    with suppress(OSError):  # a later report bundles it again
        write_atomically(kept, bundle.encode())
    return bundle


def missing(error: ImportError) -> UserError:
    """The error for a package that is not installed."""
    return UserError(f"a report needs the package '{error.name}', which is not installed: {INSTALL}")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _shown(value: Any) -> Any:
    """What jinja writes for an expression: texts with hidden characters made visible, before they are escaped."""
    return visible(value) if type(value) is str else value


def _data(chart: Chart) -> Any:
    """What a chart's script block holds, as JSON that cannot end the block."""
    from markupsafe import Markup

    controls = [vars(control) for control in chart.controls]
    content = _visible({"spec": chart.spec, "data": chart.data, "controls": controls})
    return Markup(json.dumps(content, separators=(",", ":"), allow_nan=False).translate(UNSAFE))  # JSON without markup


def _visible(content: Any) -> Any:
    """JSON's values, their texts with hidden characters made visible."""
    if isinstance(content, dict):
        return {visible(key): _visible(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return content if content and isinstance(content[0], (int, float)) else [_visible(value) for value in content]
    return visible(content) if isinstance(content, str) else content
