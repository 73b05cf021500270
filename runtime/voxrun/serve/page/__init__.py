"""The page that a browser shows: record, see the words, save them. Its files are sent as `static/` has them.

May import Starlette and the session service. The page speaks to the server as any other client does.
"""
