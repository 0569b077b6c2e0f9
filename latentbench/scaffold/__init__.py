"""New plugin packages: a working example of a kind of part, with its test, suite and continuous integration, filled into templates."""
