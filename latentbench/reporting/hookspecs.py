"""The hooks of reporting: figures, derived metrics, notices and studies, which are loaded without torch and without the plugins that made results.

A plugin of these is an importable module that the entry-point group `latentbench.reporting` names (key = module name); it imports
`latentbench.hookimpl` and `latentbench.reporting`. Each function below is called once, when a command needs one of its kind.
"""

import pluggy

from latentbench.reporting.derived import Derived
from latentbench.reporting.figure import Figure
from latentbench.reporting.notice import Notice
from latentbench.reporting.study import Study

hookspec = pluggy.HookspecMarker("latentbench")


@hookspec
def register_figures() -> list[type[Figure]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Figures, drawn from stored results. Called when a figure is asked for; `latentbench figure` builds one instance."""


@hookspec
def register_derived() -> list[type[Derived]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Derived metrics of leaderboards. Called when a leaderboard names a metric that is not stored; the leaderboard builds one instance."""


@hookspec
def register_notices() -> list[type[Notice]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Terms of data. Called by `latentbench report`, which shows those of the data sets of its runs."""


@hookspec
def register_studies() -> list[type[Study]]:  # type: ignore[empty-body]  # a hook specification has no body
    """Studies, which measure what needs no trained model. Called when a study is asked for; `latentbench study` builds one instance."""
