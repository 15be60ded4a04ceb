"""An API key, and the families of inputs."""

from loadtest.fuzz import cli

RIGHT = "right-key-of-this-test"
FAMILIES = {family.name: family for family in cli.FAMILIES}
