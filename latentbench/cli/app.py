"""The command line. A command parses, calls one library function, and prints; torch is imported by the commands that need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from latentbench import __version__
from latentbench.cli import budget, check, data, evaluate, figure, new, report, results, run, schema, study, tune, verify, workers
from latentbench.cli.options import expanded

app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which latent distribution, trained with which gradient estimator, learns which representation.",
)
COMMANDS: dict[str, Callable[..., None]] = {
    "run": run.run,
    "plan": run.plan,
    "tune": tune.tune,
    "budget": budget.budget,
    "evaluate": evaluate.evaluate,
    "new": new.new,
    "check": check.check,
    "list": results.list_,
    "show": results.show,
    "compare": results.compare,
    "verify": verify.verify,
    "figure": figure.figure,
    "study": study.study,
    "report": report.report,
    "status": results.status,
    "worker": workers.worker,
    "cancel": workers.cancel,
    "merge": results.merge,
    "compact": results.compact,
    "prune": results.prune,
    "schema": schema.schema,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(expanded(_command))
app.add_typer(data.app, name="data")


@app.callback(invoke_without_command=True)
def _main(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"latentbench {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
