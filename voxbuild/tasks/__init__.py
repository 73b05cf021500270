"""What doit runs, and when: the only wing that knows doit.

May import all other wings; nothing imports it.
"""
