"""From YAML to runs: suite files, sweeps, settings, a run and its id, the plan, and the engine that a suite names."""
