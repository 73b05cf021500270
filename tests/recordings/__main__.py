"""python -m recordings FOLDER (in tests/): write every recording as FOLDER/NAME."""

import sys
from pathlib import Path

from . import RECORDINGS


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, recording in RECORDINGS.items():
        (folder / name).write_bytes(recording.make())
    print(f"{len(RECORDINGS)} recordings in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
