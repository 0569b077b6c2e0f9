"""Arrays and pictures for figures: `samples`, `reconstructions` (Poisson VAE, Fig. 12) and `dictionary` (Fig. 4)."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional as F

from latentbench.api import Assembly, Evaluation, Measure, Metric, Options, Outcome, PerUnit, Trained, dictionary_of


class CountOptions(Options):
    """Options of `samples` and `reconstructions`."""

    n: int = Field(64, gt=0, description="How many images.")


class Samples(Evaluation):
    """Decoded samples of the prior, `images` [n, 1, H, W]; true samples (counts, one-hots). `prior_energy` is their mean |x|^2."""

    name = "samples"
    metrics = {"prior_energy": Measure(None, "squared pixel values", "Mean |x|^2 of decoded samples of the prior.")}
    options_model = CountOptions

    def __init__(self, options: CountOptions) -> None:
        self.n = options.n

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A prior is needed."""
        return None if assembly.family.has_posterior else f"it needs a prior, and '{assembly.family.name}' has none"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Without data."""
        z = trained.prior_samples(self.n)
        assert z is not None, "the plan leaves this evaluation out where there is no prior"
        images = trained.decode(z)
        energy = Metric.mean("prior_energy", images.square().flatten(1).sum(1), "prior")
        return Outcome([energy], arrays={"images": images}, pictures={"samples": grid(images, shared=trained.assembly.dataset.pixels != "real")})


class Reconstructions(Evaluation):
    """The first n validation images, `images` [n, 1, H, W], and what is decoded of one true sample each, `decoded_sample`, and of the mean."""

    name = "reconstructions"
    metrics = {"reconstructions_sse": Measure(None, "squared pixel values", "Squared error of the decoded samples that are shown.")}
    options_model = CountOptions

    def __init__(self, options: CountOptions) -> None:
        self.n = options.n

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On the validation split."""
        codes, images = trained.codes("validation"), trained.splits["validation"].images[: self.n].cpu()
        of_sample, of_mean = trained.decode(codes.sample[: self.n]), trained.decode(codes.mean[: self.n])
        pairs = torch.stack([images, of_sample], dim=1).flatten(0, 1)
        error = Metric.mean("reconstructions_sse", (images - of_sample).square().flatten(1).sum(1))
        arrays = {"images": images, "decoded_sample": of_sample, "decoded_mean": of_mean}
        shared = trained.assembly.dataset.pixels != "real"
        return Outcome([error], arrays=arrays, pictures={"reconstructions": grid(pairs, shared=shared, columns=16)})


class Dictionary(Evaluation):
    """The elements of a linear decoder's dictionary, `elements` [K, H, W], the least used ones first, and `order` [K], their units.

    Ascending by KL where every unit has its own (as in Fig. 4), else by the mean magnitude of the mean code. The picture scales each element by
    its largest magnitude. `dictionary_norm` goes to `units`.
    """

    name = "dictionary"
    metrics = {"dictionary_norm": Measure(None, "pixel values", "Norm of a dictionary element.")}

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary is needed."""
        return None if assembly.linear_decoder else f"it needs a linear decoder, and '{assembly.decoder.name}' is not"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Ordered by codes of the validation split."""
        codes = trained.codes("validation")
        weight = dictionary_of(trained.model.decoder)[0].detach().cpu()  # [M, K]
        per_unit = codes.kl is not None and codes.kl.shape[1] == weight.shape[1]
        order = (codes.kl if per_unit and codes.kl is not None else codes.mean.abs()).mean(0).argsort()
        elements = weight.T[order].unflatten(1, trained.assembly.data_shape[1:])
        norms = weight.norm(dim=0)
        return Outcome(
            [Metric.mean("dictionary_norm", norms)],
            [PerUnit("dictionary_norm", norms)],
            {"elements": elements, "order": order},
            {"dictionary": grid(elements.unsqueeze(1))},
        )


def grid(images: Tensor, shared: bool = False, columns: int | None = None, zoom: int = 3) -> Tensor:
    """A picture of images [N, 1, H, W] as bytes [H', W'].

    With `shared` pixels in [0, 1] are shown as they are; else grey is 0 in every image, and its largest magnitude black or white.
    """
    n, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scaled = images.clamp(0, 1) if shared else 0.5 + 0.5 * images / images.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    tiles = torch.ones(rows * columns, 1, height + 1, width + 1)
    tiles[:n, :, :height, :width] = scaled.float().cpu()
    picture = tiles.view(rows, columns, height + 1, width + 1).transpose(1, 2).reshape(1, 1, rows * (height + 1), columns * (width + 1))
    return (F.interpolate(picture, scale_factor=zoom)[0, 0] * 255).round().to(torch.uint8)
