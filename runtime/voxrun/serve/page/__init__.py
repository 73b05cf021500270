"""The page that a browser shows: record, see the words, save them. Its files are in `static/`, used as they are.

May import: Starlette. The page speaks to the server as any other client does.
"""
