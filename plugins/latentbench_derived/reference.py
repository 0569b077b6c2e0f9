"""The runs that others are compared with: those that have some settings of their own and share the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from latentbench.reporting import Query, UserError, alike, matching, varying

OWN = ("plugins.", "family_options.", "estimator_options.", "encoder_options.", "decoder_options.", "likelihood_options.")
"""Nested settings that belong to one part and may differ between a run and its reference."""


def settings_in(to: str, name: str) -> dict[str, str]:
    """Settings that are written as `family=gaussian encoder=conv`.

    Raises:
        UserError: they are not.
    """
    pairs = [word.partition("=") for word in to.split()]
    if not pairs or not all(key and value for key, _, value in pairs):
        raise UserError(f"{name}: to={to!r} must be settings of the reference, as in family=gaussian encoder=conv")
    return {key: value for key, _, value in pairs}


def widened(query: Query, to: Mapping[str, str]) -> tuple[Query, dict[str, Sequence[object]]]:
    """The query without what it allows of the reference's own settings, which would hide the reference; and that."""
    shown = {key: allowed for key, allowed in query.only.items() if key in to}
    return replace(query, only={key: allowed for key, allowed in query.only.items() if key not in shown}), shown


class References:
    """Finds, for a group of runs, those of `values` that have the settings `to` and share all others with them, but for those `apart`.

    Raises:
        UserError: no run has these settings.
    """

    def __init__(self, values: pd.DataFrame, to: Mapping[str, str], apart: Collection[str], name: str) -> None:
        self.apart, self.name = apart, name
        self.asked = " ".join(f"{key}={value}" for key, value in to.items())
        try:
            self.found = matching(values, {key: [value] for key, value in to.items()})
        except UserError as error:
            raise UserError(f"{name}: no run has the settings of the reference, {self.asked}") from error
        self.columns = {
            setting: pd.Series(column, index=values.index)
            for setting, column in varying(values).items()
            if setting not in {*to, *apart, "source"} and not setting.startswith(OWN)
        }

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The reference of a group of runs, which agree in their settings.

        Raises:
            UserError: there is none, or its runs differ in more than their seeds.
        """
        found = self.found
        for setting, column in self.columns.items():
            here, there = set(column[rows.index]), column[found.index]
            unread = {""} if "." in setting else set()  # one of the two may not read a nested setting
            if here - unread:
                found = found[there.isin(here | unread)]
            if found.empty:
                raise UserError(
                    f"{self.name}: runs with {self.asked} have {setting}={', '.join(sorted(set(there)))}, and none has {', '.join(sorted(here))}, "
                    "as the runs that are compared with them"
                )
        groups = list(alike(found, self.apart))
        if len(groups) > 1:
            different = [setting for setting in varying(found) if not ({setting, setting.partition(".")[0]} & {*self.apart, "source"})]
            raise UserError(f"{self.name}: runs with {self.asked} differ in {', '.join(different)}; say more in `to`, or choose with --only")
        return groups[0]
