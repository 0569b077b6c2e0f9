"""Independent ways to relaxed Poisson counts: plain formulas under autograd, and moments of cut sums by quadrature; and the follow-up's table."""

import csv
import math
from pathlib import Path

import numpy as np
import torch
from scipy import special

RAMPS = ("linear", "cubic", "quintic", "cosine")
INDICATORS = ("sigmoid", *RAMPS)
TABLE = list(csv.DictReader((Path(__file__).parent / "relaxation_moments.csv").open()))
"""Moments that were measured with the authors' code, and derived: `relaxation_moments.csv` of the follow-up's specification."""


def name_of(row):
    """Our name of a row's method."""
    return "gumbel_softmax" if row["method"] == "GSM" else row["method"].removeprefix("EAT_")


def indicator(name, times, temperature):
    """g((1 - S) / T) as the paper writes it, differentiable: x in units of T, u = clip((x + 1) / 2, 0, 1)."""
    x = (1 - times) / temperature
    u = ((x + 1) / 2).clamp(0, 1)
    return {
        "sigmoid": lambda: torch.sigmoid(x),
        "linear": lambda: u,
        "cubic": lambda: 3 * u**2 - 2 * u**3,
        "quintic": lambda: 6 * u**5 - 15 * u**4 + 10 * u**3,
        "cosine": lambda: (1 - torch.cos(math.pi * u)) / 2,
    }[name]()


def cut_moments(name, temperature, rate, n_exp, points=400_000):
    """Mean and variance of the sum over the first n_exp arrivals, by the trapezium rule (relative error below 1e-6).

    The k-th arrival has the density of a gamma variable, and the first n together r P(N(s) < n) with N(s) ~ Pois(r s); a pair s < t of the first n,
    r^2 P(N(t) < n - 1). So E z = r int g(s) P(N(s) < n) ds and E z^2 = r int g(s)^2 P(N(s) < n) ds + 2 r^2 int g(t) G(t) P(N(t) < n - 1) dt, where G
    is the integral of g up to t.
    """
    end = 1 + (45 if name == "sigmoid" else 1) * temperature
    s = np.linspace(0, end, points)
    g = indicator(name, torch.from_numpy(s), temperature).numpy()
    among, pair = (special.pdtr(n_exp - k, rate * s) if n_exp >= k else np.zeros_like(s) for k in (1, 2))
    area = np.concatenate([[0.0], np.cumsum((g[1:] + g[:-1]) / 2) * s[1]])
    mean = rate * np.trapezoid(g * among, s)
    return mean, rate * np.trapezoid(g**2 * among, s) + 2 * rate**2 * np.trapezoid(g * area * pair, s) - mean**2
