"""A project of your own: `python -m voxbuild new FOLDER` writes one that needs no repository.

May import all other wings but `tasks`, and needs only `recipes`, `console` and `errors`; nothing imports it.
"""
