"""One file for each WebSocket protocol. May import the session service, sockets, errors; not one another."""
