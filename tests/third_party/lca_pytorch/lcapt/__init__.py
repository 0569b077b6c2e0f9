"""A stand-in for lca-pytorch with its published interface, as strict as it is. Put the folder above on the path to have it."""
