"""Publishing to the Hugging Face Hub.

May import `voxbuild.publish.target` and what lies below `voxbuild.publish`.
"""
