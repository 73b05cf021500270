"""python -m hub_server FOLDER (in tests/): serve until Ctrl-C, and say what a client's environment needs."""

import sys
import threading
from contextlib import suppress
from pathlib import Path

from . import TOKEN, serving


def main(folder: Path) -> None:
    with serving(folder) as hub, suppress(KeyboardInterrupt):
        print(f"HF_ENDPOINT={hub.url} HF_TOKEN={TOKEN}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
