"""The HTTP endpoints, a module with `routes(service)` each, named in `app.py`.

May import the session service, errors, and writers of transcripts; of the protocols, how words are written.
"""
