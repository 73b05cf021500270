"""What a model's folder holds: its files, sizes and quantization, its tensors, and how a dialect names them.

May import `voxrun.files` and what lies below it.
"""
