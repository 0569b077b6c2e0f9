"""Gabor functions fitted to images (scipy's least squares, with the Jacobian in closed form)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PADDED = 64
"""Side that an image's spectrum is taken at, so that its peak is found between the bins of the image itself."""
LEAST_SIGMA, LEAST_FREQUENCY, LARGEST_FREQUENCY = 0.5, 0.01, 0.5
STARTS = (1.5, 3.0)
"""Widths of the envelope, in pixels, that fits start from."""
HALF = math.log(2) / (2 * math.pi**2)


@dataclass(frozen=True)
class GaborFit:
    """The best of the fits to one image, and the share `r2` of its energy that it explains.

    g = exp(-u^2 / 2 sigma_x^2 - v^2 / 2 sigma_y^2) (cosine cos 2 pi f u + sine sin 2 pi f u), with u along and v across the wave vector, which makes
    the angle `theta` with the x axis, from the centre (x, y). Lengths in pixels, `frequency` f in cycles a pixel, theta in [0, pi).
    """

    x: float
    y: float
    theta: float
    sigma_x: float
    sigma_y: float
    frequency: float
    cosine: float
    sine: float
    r2: float

    @property
    def n_x(self) -> float:
        """sigma_x f, the width of the envelope along the wave in cycles (Ringach 2002)."""
        return self.sigma_x * self.frequency

    @property
    def n_y(self) -> float:
        """sigma_y f, the width of the envelope across the wave in cycles (Ringach 2002)."""
        return self.sigma_y * self.frequency

    @property
    def orientation_bandwidth(self) -> float:
        """Half width, in degrees, at half height of the response to gratings of frequency f over their orientation; 90 where it never falls so far.

        The amplitude at an angle a from the best is exp(-2 pi^2 (n_x^2 (1 - cos a)^2 + n_y^2 sin^2 a)), a quadratic in cos a where it is 1/2.
        """
        along, across = self.n_x**2, self.n_y**2
        roots = np.roots([along - across, -2 * along, along + across - HALF])
        cosines = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and 0 <= root.real <= 1]
        return math.degrees(math.acos(max(cosines))) if cosines else 90.0


def fit_gabor(image: Array, evaluations: int = 30) -> GaborFit:
    """The Gabor function nearest to an image [H, W] in squared error, out of a few starts.

    Args:
        image: the image; it need not have mean 0, a Gabor function need not either.
        evaluations: most evaluations of the function in a fit.
    """
    from scipy.optimize import least_squares  # half a second that only this takes

    height, width = image.shape
    energy = float((image**2).sum())
    if energy == 0:
        return GaborFit(0, 0, 0, 1, 1, LEAST_FREQUENCY, 0, 0, 0)
    unit = image / math.sqrt(energy)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    wave_x, wave_y = _peak(unit)
    weight = unit**2
    x0, y0 = float((weight * columns).sum()), float((weight * rows).sum())
    best: tuple[float, Array] | None = None
    for sigma in STARTS:
        start = np.array([x0, y0, math.atan2(wave_y, wave_x), math.log(sigma), math.log(sigma), math.log(math.hypot(wave_x, wave_y)), 0.5, 0.5])
        bounds = _bounds(height, width)
        start = np.clip(start, bounds[0] + 1e-6, bounds[1] - 1e-6)
        found = least_squares(_residuals, start, _jacobian, bounds, method="trf", max_nfev=evaluations, ftol=1e-5, args=(unit, columns, rows))
        if best is None or found.cost < best[0]:
            best = float(found.cost), found.x
    assert best is not None, "there is more than one start"
    cost, p = best
    scale = math.sqrt(energy)
    turned = p[2] % (2 * math.pi) >= math.pi  # the same function, with the wave vector turned round
    sine = -p[7] if turned else p[7]
    widths = math.exp(p[3]), math.exp(p[4]), math.exp(p[5])
    return GaborFit(float(p[0]), float(p[1]), float(p[2] % math.pi), *widths, float(p[6] * scale), float(sine * scale), 1 - 2 * cost)


def gabor(fit: GaborFit, columns: Array, rows: Array) -> Array:
    """The function of a fit at pixels."""
    p = np.array([fit.x, fit.y, fit.theta, *(math.log(value) for value in (fit.sigma_x, fit.sigma_y, fit.frequency)), fit.cosine, fit.sine])
    *_, cosine, sine = _terms(p, columns, rows)
    result: Array = fit.cosine * cosine + fit.sine * sine
    return result


def _peak(image: Array) -> tuple[float, float]:
    """The frequency (x, y), in cycles a pixel, of the largest power of the spectrum, not nearer to 0 than half a cycle an image."""
    power = np.abs(np.fft.fft2(image, (PADDED, PADDED))) ** 2
    frequencies = np.fft.fftfreq(PADDED)
    radius = np.hypot(frequencies[:, None], frequencies[None, :])
    power[radius < 0.5 / max(image.shape)] = 0
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    return float(frequencies[column]), float(frequencies[row])


def _bounds(height: int, width: int) -> tuple[Array, Array]:
    """Of x, y, theta, ln sigma_x, ln sigma_y, ln f, cosine, sine."""
    widest = math.log(max(height, width))
    low = np.array([-2, -2, -np.inf, math.log(LEAST_SIGMA), math.log(LEAST_SIGMA), math.log(LEAST_FREQUENCY), -np.inf, -np.inf])
    high = np.array([width + 1, height + 1, np.inf, widest, widest, math.log(LARGEST_FREQUENCY), np.inf, np.inf])
    return low, high


def _terms(p: Array, columns: Array, rows: Array) -> tuple[Array, ...]:
    u = (columns - p[0]) * math.cos(p[2]) + (rows - p[1]) * math.sin(p[2])
    v = -(columns - p[0]) * math.sin(p[2]) + (rows - p[1]) * math.cos(p[2])
    phase = 2 * math.pi * math.exp(p[5]) * u
    envelope = np.exp(-0.5 * (u * math.exp(-p[3])) ** 2 - 0.5 * (v * math.exp(-p[4])) ** 2)
    return u, v, phase, envelope * np.cos(phase), envelope * np.sin(phase)


def _residuals(p: Array, image: Array, columns: Array, rows: Array) -> Array:
    *_, cosine, sine = _terms(p, columns, rows)
    missed: Array = p[6] * cosine + p[7] * sine - image
    return missed.ravel()


def _jacobian(p: Array, image: Array, columns: Array, rows: Array) -> Array:
    u, v, phase, cosine, sine = _terms(p, columns, rows)
    g, turned = p[6] * cosine + p[7] * sine, p[7] * cosine - p[6] * sine  # the function, and its derivative in the phase
    by_u = -g * u * math.exp(-2 * p[3]) + 2 * math.pi * math.exp(p[5]) * turned
    by_v = -g * v * math.exp(-2 * p[4])
    c, s = math.cos(p[2]), math.sin(p[2])
    partials = (
        *(-c * by_u + s * by_v, -s * by_u - c * by_v, v * by_u - u * by_v),
        *(g * (u * math.exp(-p[3])) ** 2, g * (v * math.exp(-p[4])) ** 2, turned * phase),
        *(cosine, sine),
    )
    return np.stack([partial.ravel() for partial in partials], axis=1)
