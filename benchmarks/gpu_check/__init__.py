"""`make gpu-check`: what is claimed of GPUs, checked on one within nine minutes.

It needs neither a network nor an installation beyond the repository: plugins are found through the folder that `bare` makes, and a check whose
packages are missing is skipped with their names. Every check runs in a process of its own with a limit on its time.
"""
