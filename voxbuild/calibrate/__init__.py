"""What the unquantized model hears in recordings, and the second moments of its matrices' inputs.

May import `voxbuild.artifact` and what lies below it.
"""
