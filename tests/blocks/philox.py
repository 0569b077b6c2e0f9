"""Philox 4x32-10 in numpy, after Salmon, Moraes, Dror & Shaw (2011), and the relaxed counts in float64 that a kernel should make of its numbers."""

import numpy as np

MULTIPLIERS, KEYS, WORD = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 2**32


def philox(key, counter):
    """Four arrays of 32-bit words for a key of two words and a counter of four, each a number or an array."""
    k = [np.uint64(word) for word in key]
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    low = np.uint64(WORD - 1)
    for _ in range(10):
        first, second = (np.uint64(m) * word for m, word in zip(MULTIPLIERS, (c[0], c[2]), strict=True))
        c = [(second >> np.uint64(32)) ^ c[1] ^ k[0], second & low, (first >> np.uint64(32)) ^ c[3] ^ k[1], first & low]
        k = [(word + np.uint64(step)) & low for word, step in zip(k, KEYS, strict=True)]
    return c


def exponentials(seed, units, arrivals):
    """The standard exponential numbers [arrivals, units] of a call with `seed`."""
    key, unit, groups = (seed % WORD, seed // WORD), np.arange(units), (arrivals + 6) // 4
    first, low, *_ = philox(key, (unit, 0, 0, 0))
    words = [first + low / WORD, *(word for group in range(1, groups) for word in philox(key, (unit, 0, group, 0)))][:arrivals]
    return -np.log1p(-np.array(words, dtype=np.float64) / WORD)


def relaxed_counts(rate, noise, temperature):
    """Relaxed counts, their slopes and hard counts, from rates [units] and standard exponentials [arrivals, units]."""
    time = noise.cumsum(0) / rate
    s = 1 / (1 + np.exp(np.minimum((time - 1) / temperature, 700)))
    return s.sum(0), (s * (1 - s) * time).sum(0) / (rate * temperature), (time < 1).sum(0)
