"""The embedded tiny model: its checkpoint, its test clips and how both were made."""
