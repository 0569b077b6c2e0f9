"""`latentbench check`: the conformance kit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latentbench.cli.options import Plugins, path

if TYPE_CHECKING:
    from latentbench.testing.report import Finding


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What suites call the part; `latentbench list` shows all.")],
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="family, estimator, likelihood, network, dataset, evaluation, engine.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--options", metavar="KEY=VALUE", help="Try the part with these options alone, not with a choice of them.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; repeatable.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=5000, help="Samples behind every statistical comparison.")] = 100_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the kit's randomness.")] = 0,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where the part computes: cpu, or cuda:N.")] = "cpu",
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", parser=path, help="Write the findings to this file, too.")] = None,
    plugins: Plugins = None,
) -> None:
    """Hold a part against every law of its kind; exit code 1 where it breaks one."""
    import torch

    from latentbench.cli.options import set_values
    from latentbench.files import write_atomically
    from latentbench.plugin_files import with_files
    from latentbench.registry import load_registry
    from latentbench.testing.examine import examine
    from latentbench.testing.law import Effort
    from latentbench.testing.named import known_device, options_of, part_named

    torch.set_num_threads(1)  # as runs compute; and several threads cost more than they save on what is so small
    part = part_named(name, with_files(load_registry(), plugins or ()), kind)
    chosen = options_of(part, set_values(options or [], "--options"))
    report = examine(part, chosen, Effort(samples, seed=seed, device=known_device(device)), only or [], found=_show)
    if json is not None:
        write_atomically(json, report.json().encode())
    print("\n".join(report.end()))
    raise typer.Exit(0 if report.ok else 1)


def _show(finding: Finding) -> None:
    """Print a finding as it comes: a check may take seconds."""
    print("\n".join(finding.text()), flush=True)
