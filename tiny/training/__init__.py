"""How the tiny model was made: from Debian's recordings to an exported checkpoint.

`python -m tiny.training` runs every stage; read the modules in the order of `__main__.STAGES`.
"""
