"""Data sets: the contract, published source files, the cache of what is prepared of them, and images that splits share."""
