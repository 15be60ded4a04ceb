"""Changes to private parts of other packages: all of them, one a module; README.md lists them."""
