"""The server: one session service, and a small adapter for each protocol that clients speak.

May import everything in voxrun but the command. START in `app.py`.
"""
