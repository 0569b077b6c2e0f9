"""What data sets share that are drawn from a known model."""

from __future__ import annotations

from pydantic import Field

from latentbench.api import Options


class SyntheticOptions(Options):
    """Options of data sets that are drawn from a known model."""

    noise: float = Field(0.1, ge=0, description="Standard deviation of the Gaussian noise of a pixel.")
    train: int = Field(10000, ge=1, description="Training images.")
    validation: int = Field(2000, ge=1, description="Validation images.")
    test: int = Field(2000, ge=1, description="Test images.")
    seed: int = Field(0, ge=0, description="Seed of the data; a run's own seed does not change them.")

    @property
    def images(self) -> dict[str, int]:
        """How many images each split has."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
