"""What runs will cost on the device at hand: a few steps of every kind of run, measured in a process of their own and kept in the cache folder."""
