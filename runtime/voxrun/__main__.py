"""`python -m voxrun`: the same as the command."""

from voxrun.cli.main import command

command()
