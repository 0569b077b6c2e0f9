"""The guards of a first batch: what each part of a model returns is checked as it is used, and nothing else about the batch changes.

torch broadcasts: a KL of [B] where [B, G] was promised gives a loss, a gradient and a number in a table, all of them wrong. So the first batch of
training, and of every split that is encoded, goes through twins of the model's parts: objects of the same class that share the original's state, and
whose methods and properties are the original's with a check of what they return. The other batches see the originals, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Generator, Tensor, nn

from latentbench.contract import check_class, check_costs, check_finite, check_shape, origin
from latentbench.errors import UserError
from latentbench.models.codes import Code, Posterior
from latentbench.models.family import AmortisedFamily, Family, Inference
from latentbench.models.likelihood import Likelihood
from latentbench.models.model import Model
from latentbench.models.objective import Loss, Step

T = TypeVar("T")
Check = Callable[..., Any]
"""Called with what a method returned and its arguments; returns that, or a twin of it."""
IN_NATS = "nats per image and latent"


def guarded(model: Model, finite: bool = True) -> Model:
    """The same model for one batch: what its parts return is checked for shape and kind of number and, with `finite`, for numbers that are not.

    Raises:
        UserError: (by the model's methods) a part returned something else than its contract says.
        NonFiniteError: (by the model's methods) a number is not finite.
    """
    guard = Guard(model, finite)
    encoder, estimator = model.encoder, model.estimator
    losses = {} if estimator is not None else {"loss": guard.loss_of(model.family)}
    return Model(
        model.assembly,
        twin(model.family, {"encode": guard.code, "prior": guard.prior, "costs": guard.costs, **losses}),
        None if encoder is None else twin(encoder, {"__call__": guard.features}),
        twin(model.decoder, {"__call__": guard.decoded}),
        None if estimator is None else twin(estimator, {"loss": guard.loss_of(estimator)}),
        twin(model.likelihood, {"reconstruction": guard.reconstruction, "log_prob": guard.log_prob, "mean": guard.mean_image}),
    )


def twin(original: T, methods: Mapping[str, Check], properties: Mapping[str, Check] | None = None) -> T:
    """An object of the same class with the same state, whose named methods and properties return the checked results of the original's.

    The original is not touched: compiled modules stay compiled. An object without a `__dict__` is its own twin.
    """
    members = {name: _method(original, name, check) for name, check in methods.items()}
    return _alike(original, members | {name: property(_getter(original, name, check)) for name, check in (properties or {}).items()})


def _alike(original: T, members: Mapping[str, Any]) -> T:
    """An object that shares the original's state, of a subclass that has some members of its own."""
    if not hasattr(original, "__dict__"):
        return original
    cls = type(original)
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    copy = cast("T", object.__new__(type(cls.__name__, (cls,), {**named, **members})))
    object.__setattr__(copy, "__dict__", vars(original))
    return copy


def _method(original: object, name: str, check: Check) -> Callable[..., Any]:
    return lambda _, *args, **kwargs: check(getattr(original, name)(*args, **kwargs), *args, **kwargs)


def _getter(original: object, name: str, check: Check) -> Callable[[object], Any]:
    return lambda _: check(getattr(original, name))


@dataclass(frozen=True)
class Guard:
    """The checks of one model's parts; each returns what it was given."""

    model: Model
    finite: bool

    @property
    def latent_dim(self) -> int:
        """K."""
        return self.model.assembly.latent_dim

    @property
    def probe(self) -> Generator:
        """A stream of its own, so that asking for an estimate leaves the run's noise as it is."""
        return torch.Generator(self.model.device).manual_seed(0)

    def tensor(self, what: str, value: object, shape: tuple[int | str, ...], meaning: str) -> Tensor:
        """A tensor of `shape`, finite if that is asked for."""
        value = check_shape(what, value, shape, meaning)
        return check_finite(what, value, meaning) if self.finite else value

    def features(self, features: Any, images: Tensor) -> Tensor:
        """Of the encoder: [B, features]."""
        shape = (len(images), self.model.family.features)
        return self.tensor(f"{origin(self.model.assembly.encoder)}.encoder(...)", features, shape, "as many features as the family asks for")

    def decoded(self, decoded: Any, z: Tensor) -> Tensor:
        """Of the decoder: [B, C, H, W], with as many times C as the likelihood needs numbers."""
        shape = (z.numel() // self.latent_dim, *self.model.assembly.decoded_shape)
        return self.tensor(f"{origin(self.model.assembly.decoder)}.decoder(...)", decoded, shape, "decoded images")

    def reconstruction(self, cost: Any, images: Tensor, decoded: Tensor) -> Tensor:
        """Of the likelihood: [B]."""
        return self.tensor(f"{origin(self.model.likelihood)}.reconstruction(...)", cost, (len(decoded),), "nats per image")

    def log_prob(self, log_prob: Any, images: Tensor, decoded: Tensor) -> Tensor:
        """Of the likelihood: [B]."""
        return self.tensor(f"{origin(self.model.likelihood)}.log_prob(...)", log_prob, (len(decoded),), "nats per image")

    def mean_image(self, mean: Any, decoded: Tensor) -> Tensor:
        """Of the likelihood: [B, C, H, W]."""
        shape = (len(decoded), *self.model.assembly.data_shape)
        return self.tensor(f"{origin(self.model.likelihood)}.mean(...)", mean, shape, "E[x | z], images")

    def costs(
        self, costs: Any, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None
    ) -> Mapping[str, Tensor]:
        """Of the family: [B] each, its own cost first."""
        what = f"{origin(self.model.family)}.costs(...)"
        found = check_costs(what, costs, len(images), self.model.family.cost)
        return {name: self.tensor(f"{what}['{name}']", cost, (len(images),), "nats per image") for name, cost in found.items()}

    def code(self, code: Any, images: Tensor, inference: Inference) -> Code:
        """Of the family: every tensor of the shape that the contract says, and a twin that checks what is used."""
        family = self.model.family
        what = encoded_by(family)
        check_class(what, code, Posterior if family.has_posterior else Code)
        return self._code(what, code, len(images))

    def prior(self, prior: Any, batch: int) -> Posterior | None:
        """Of the family: a distribution of as many codes as were asked for, or None."""
        if prior is None and not self.model.family.has_posterior:
            return None
        what = f"{origin(self.model.family)}.prior(...)"
        check_class(what, prior, Posterior)
        return cast("Posterior", self._code(what, prior, batch))

    def loss_of(self, objective: nn.Module) -> Check:
        """The check of what an estimator, or a family that needs none, returns."""
        what = f"{origin(objective)}.loss(...)"

        def check(loss: Any, step: Step) -> Loss:
            check_class(what, loss, Loss)
            self.tensor(f"{what}.surrogate", loss.surrogate, (), "a scalar, averaged over images")
            if not loss.surrogate.requires_grad:
                raise UserError(f"{what}.surrogate does not depend on any parameter: its gradient trains the model")
            reported = check_costs(f"{what}.reported", loss.reported, len(step.images))
            for name, cost in reported.items():
                self.tensor(f"{what}.reported['{name}']", cost, (len(step.images),), "nats per image")
            return cast("Loss", loss)

        return check

    def _code(self, what: str, code: Code, batch: int) -> Code:
        """Every tensor's shape now; whether its numbers are finite where it is used, as a variance may overflow that nothing needs."""
        k = self.latent_dim
        promised: dict[str, tuple[tuple[int | str, ...], str]] = {
            "mean": ((batch, k), "mean of the code"),
            "location": ((batch, k), "what is decoded for `sse_at_location`"),
            "representation": ((batch, "F"), "features of each image, for readouts"),
        }
        methods = {"sample": self._check(f"{what}.sample(...)", (batch, k), "true samples")}
        if isinstance(code, Posterior):
            promised["variance"] = ((batch, k), "variance of each latent dimension")
            methods |= self._methods(what, batch, self._groups(f"{what}.kl(...)", code, batch))
        for name, (shape, meaning) in promised.items():
            check_shape(f"{what}.{name}", getattr(code, name), shape, meaning)
        return twin(code, methods, {name: self._check(f"{what}.{name}", *promise) for name, promise in promised.items()})

    def _groups(self, what: str, code: Posterior, batch: int) -> int:
        """G, the latents that have a KL each: K, or groups of K / G dimensions."""
        groups = check_shape(what, code.kl(self.probe), (batch, "G"), IN_NATS).shape[1]
        if self.latent_dim % groups:
            raise UserError(
                f"{what} returned [{batch}, {groups}], expected as many latents as there are dimensions, {self.latent_dim}, or groups of equal size"
            )
        return groups

    def _methods(self, what: str, batch: int, groups: int) -> dict[str, Check]:
        """Checks of the methods of a posterior."""

        def both(pair: Any, *arguments: Any, **named: Any) -> tuple[Tensor, ...]:
            check_class(f"{what}.relaxed_and_hard(...)", pair, tuple, "relaxed and true samples")
            shape = (batch, self.latent_dim)
            return tuple(
                self.tensor(f"{what}.relaxed_and_hard(...)[{i}]", z, shape, ("relaxed samples", "true samples")[i]) for i, z in enumerate(pair)
            )

        def log_prob(value: Any, z: Tensor) -> Tensor:
            return self.tensor(f"{what}.log_prob(z)", value, (*z.shape[:-2], batch, groups), IN_NATS)

        return {
            "rsample": self._check(f"{what}.rsample(...)", (batch, self.latent_dim), "differentiable samples"),
            "relaxed_and_hard": both,
            "log_prob": log_prob,
            "kl": self._check(f"{what}.kl(...)", (batch, groups), IN_NATS),
            "decoded_variance": self._check(f"{what}.decoded_variance(...)", (batch,), "squared error per image"),
        }

    def _check(self, what: str, shape: tuple[int | str, ...], meaning: str) -> Check:
        return lambda value, *arguments, **named: self.tensor(what, value, shape, meaning)


def encoded_by(family: Family) -> str:
    """The method of a family that makes codes."""
    return f"{origin(family)}.{'posterior' if isinstance(family, AmortisedFamily) else 'encode'}(...)"


def checked_codes(codes: T, family: Family) -> T:
    """The codes of a split (`latentbench.evaluation.trained.Codes`), whose numbers must be finite where an evaluation uses them.

    Raises:
        NonFiniteError: (by the fields of the codes) some are not.
    """
    made = encoded_by(family)
    names = {"sample": "sample(...)", "mean": "mean", "location": "location", "representation": "representation", "kl": "kl(...)"}

    def read(self: object, field: str) -> Any:
        value = object.__getattribute__(self, field)
        if field in names and value is not None:
            check_finite(f"{made}.{names[field]}", value, "over the whole split")
        for name, cost in value.items() if field == "costs" else ():
            check_finite(f"{origin(family)}.costs(...)['{name}']", cost, "over the whole split")
        return value

    return _alike(codes, {"__getattribute__": read})
