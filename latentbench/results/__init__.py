"""What is kept: tables and fragments, models and states, where numbers come from, and the states of planned runs."""
