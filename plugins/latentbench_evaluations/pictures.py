"""Arrays and pictures for figures: `samples`, `reconstructions` (Poisson VAE, Fig. 12) and `dictionary` (Fig. 4)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional as F

from latentbench.api import Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, PerUnit, Trained, dictionary_of


class CountOptions(Options):
    """Options of `samples`."""

    n: int = Field(64, gt=0, description="How many images.")


class ReconstructionsOptions(EvaluationOptions):
    """Options of `reconstructions`."""

    n: int = Field(64, gt=0, description="How many images.")


class Samples(Evaluation):
    """Decoded samples of the prior, `images` [n, C, H, W]; true samples (counts, one-hots). `prior_energy` is their mean |x|^2."""

    name = "samples"
    metrics = {"prior_energy": Measure(None, "squared pixel values", "Mean |x|^2 of decoded samples of the prior.")}
    options_model = CountOptions

    def __init__(self, options: CountOptions) -> None:
        self.n = options.n

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A prior and images are needed."""
        return no_images(assembly) if assembly.family.has_posterior else f"it needs a prior, and '{assembly.family.name}' has none"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Without data."""
        z = trained.prior_samples(self.n)
        assert z is not None, "the plan leaves this evaluation out where there is no prior"
        images = trained.decode(z)
        energy = Metric.mean("prior_energy", images.square().flatten(1).sum(1), "prior")
        return Outcome([energy], arrays={"images": images}, pictures={"samples": grid(images, white(trained))})


class Reconstructions(Evaluation):
    """The first n images of a split, `images` [n, C, H, W], and what is decoded of one true sample each, `decoded_sample`, and of the mean."""

    name = "reconstructions"
    metrics = {"reconstructions_sse": Measure(None, "squared pixel values", "Squared error of the decoded samples that are shown.")}
    options_model = ReconstructionsOptions

    def __init__(self, options: ReconstructionsOptions) -> None:
        self.n, self.split = options.n, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Images are needed."""
        return no_images(assembly)

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        codes, images = trained.codes(self.split), trained.splits[self.split].images[: self.n].cpu()
        of_sample, of_mean = trained.decode(codes.sample[: self.n]), trained.decode(codes.mean[: self.n])
        pairs = torch.stack([images, of_sample], dim=1).flatten(0, 1)
        error = Metric.mean("reconstructions_sse", (images - of_sample).square().flatten(1).sum(1), self.split)
        arrays = {"images": images, "decoded_sample": of_sample, "decoded_mean": of_mean}
        arrays = {named(name, self.split): array for name, array in arrays.items()}
        return Outcome([error], arrays=arrays, pictures={named("reconstructions", self.split): grid(pairs, white(trained), columns=16)})


class Dictionary(Evaluation):
    """The elements of a linear decoder's dictionary, `elements` [K, H, W] or [K, 3, H, W], the least used first; `order` [K], their units.

    Ascending by KL where every unit has its own (as in Fig. 4), else by the mean magnitude of the mean code. The picture scales each element by
    its largest magnitude. `dictionary_norm` goes to `units`.
    """

    name = "dictionary"
    options_model = EvaluationOptions
    metrics = {"dictionary_norm": Measure(None, "pixel values", "Norm of a dictionary element.")}

    def __init__(self, options: EvaluationOptions) -> None:
        self.split = options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary of images is needed."""
        return no_images(assembly) if assembly.linear_decoder else f"it needs a linear decoder, and '{assembly.decoder.name}' is not"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Ordered by codes of one split."""
        codes = trained.codes(self.split)
        weight = dictionary_of(trained.model.decoder)[0].detach().cpu()  # [M, K]
        per_unit = codes.kl is not None and codes.kl.shape[1] == weight.shape[1]
        order = (codes.kl if per_unit and codes.kl is not None else codes.mean.abs()).mean(0).argsort()
        elements = weight.T[order].unflatten(1, trained.assembly.data_shape)
        norms = weight.norm(dim=0)
        return Outcome(
            [Metric.mean("dictionary_norm", norms, self.split)],
            [PerUnit("dictionary_norm", norms, self.split)],
            {named("elements", self.split): elements.squeeze(1), named("order", self.split): order},
            {named("dictionary", self.split): grid(elements)},
        )


def named(name: str, split: str) -> str:
    """The name of an array or picture, with the split that it is of unless that is `validation`."""
    return name if split == "validation" else f"{name}_{split}"


def no_images(assembly: Assembly) -> str | None:
    """Why items cannot be shown, or None for grey and colour images."""
    shape = assembly.data_shape
    shown = len(shape) == 3 and shape[0] in (1, 3)
    return None if shown else f"it shows grey or colour images, and items of '{assembly.dataset.name}' have the shape {list(shape)}"


def white(trained: Trained) -> float | None:
    """The number that is shown as white where 0 is black: 1, or the largest count of the training images; None for real numbers."""
    pixels = trained.assembly.dataset.pixels
    if pixels == "count":
        return max(1.0, float(trained.splits["train"].images.max()))
    return None if pixels == "real" else 1.0


def grid(images: Tensor, white: float | None = None, columns: int | None = None, zoom: int = 3) -> Tensor:
    """A picture of grey images [N, 1, H, W] as bytes [H', W'], or of colour images [N, 3, H, W] as bytes [H', W', 3].

    Numbers from 0 to `white` are shown as black to white; without it 0 is grey in every image, and its largest magnitude black or white.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scaled = (images / white).clamp(0, 1) if white else 0.5 + 0.5 * images / images.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    tiles = torch.ones(rows * columns, channels, height + 1, width + 1)
    tiles[:n, :, :height, :width] = scaled.float().cpu()
    picture = tiles.unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).reshape(1, channels, rows * (height + 1), columns * (width + 1))
    return (F.interpolate(picture, scale_factor=zoom)[0].movedim(0, 2).squeeze(2) * 255).round().to(torch.uint8).contiguous()
