"""The golden cards in tests/data/cards.

After a change that is meant: `python tests/voxbuild/golden_cards.py` writes them anew; read the difference.
"""

from cards import ADAPTED, ADAPTER_FILE, FINE_TUNE, KEY, RECORD, ROOT, TEMPLATES, make_subject

from voxbuild.card.hub_metadata import eval_results
from voxbuild.card.render import render_card
from voxbuild.card.siblings import family

FOLDER = ROOT / "tests/data/cards"
CASES = {
    "4bit": (make_subject(), ()),
    "4bit-siblings": (make_subject(), RECORD),
    "4bit-signed": (make_subject(fingerprint=KEY), ()),
    "2bit-experimental": (make_subject("2bit", bits_per_weight=2.75), ()),
    "bf16": (make_subject("bf16", bits_per_weight=16.0), ()),
    "mixed-4-6-mlx-audio": (make_subject("mixed-4-6", loader="mlx-audio"), RECORD),
    "4bit-search-tiny": (make_subject("4bit-search", "tiny"), RECORD),
    "4bit-fine-tune": (make_subject(source=FINE_TUNE), ()),
    "bf16-adapted": (make_subject("bf16", ADAPTED, made_of={"files": ADAPTER_FILE}), ()),
    "tiny-transformers-signed": (make_subject("bf16", "tiny", "transformers", KEY), ()),
}


def golden_files():
    """Name -> what is to be in it."""
    cards = {f"{name}.md": render_card(TEMPLATES, s, family(r, s)) for name, (s, r) in CASES.items()}
    return cards | {"4bit.eval_results.yaml": eval_results(CASES["4bit"][0])}


if __name__ == "__main__":
    for path in FOLDER.glob("*"):
        path.unlink()
    for name, text in golden_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
