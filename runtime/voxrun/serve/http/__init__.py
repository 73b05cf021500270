"""The HTTP endpoints. A new one is a module with `routes(service)`, named in `app.py`."""
