"""One run from description to rows, and many runs shared between processes and machines."""
