"""Building blocks of parts: samplers with gradients, soft limits, seeding, and batched solvers. `latentbench.api` exports them."""
