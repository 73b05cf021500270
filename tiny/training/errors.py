"""The one error a user of the training line is meant to read."""


class TrainingError(Exception):
    """Something the user can mend: a missing tool or file, held-out data."""
