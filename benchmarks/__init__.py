"""The speed claims: each script measures both sides in one run, with one thread, in CPU time."""
