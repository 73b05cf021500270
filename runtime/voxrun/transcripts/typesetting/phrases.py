"""Where a phrase ends, by its punctuation, and which words belong to the ones after or before them."""

import re

SENTENCE_ENDS, SURE_SENTENCE_ENDS = (".", "!", "?", "…"), ("。", "！", "？", "؟", "۔", "।")  # noqa: RUF001
"""The sure ones never end an abbreviation."""
CLAUSE_ENDS = (",", ";", ":", "，", "、", "；", "：", "،", "؛")  # noqa: RUF001
OPENING = "\"'“‘„‚«([¿¡"  # noqa: RUF001
CLOSING = "\"'”’»)]」』》）"  # noqa: RUF001
PAIRS = ("«»", "()", "[]", "「」", "『』", "《》", "（）")  # noqa: RUF001
FULL_SENTENCE = 20
"""Characters; a shorter text that ends with a full stop is more likely an abbreviation."""
LETTERS_WITH_STOPS = re.compile(r"(?:[^\W\d_\u0530-\U0010ffff]\.)+")
"""Initials, `U.S.`, `e.g.`, and `z.B.` with or without a space."""
_ABBREVIATIONS = """
Mr Mrs Ms Dr St No Nos Prof Rev Hon Capt Col Lt Sgt Gov Mt vs approx
Nr Hr Hrn Fr bzw ca vgl ggf evtl inkl sog
Mme Mlle Mgr Sr Sra Srta Dra Dn núm pág Sig Dott dhr mevr drs bijv
ул стр см проф
"""
ABBREVIATIONS = frozenset(f"{word}." for word in _ABBREVIATIONS.split())
"""Those that something always follows; `No.` only with a capital: "no." is a word that ends sentences."""
ORDINAL = re.compile(r"(?:(?:am|ab|bis|vom|zum|de[rmns]|die|das) )?\d{1,2}\.", re.IGNORECASE)
"""The stop of German and Scandinavian numbers, as in `am 3. Oktober`."""
SHORT = 3
"""Letters: in most languages with an alphabet, words so short are articles, prepositions, conjunctions or
pronouns."""
_LEADING = """
about after because before between from into onto over since that than their them then they this these those
under until when where whether which while will with without would could should might must shall your have
been were there
aber auch denn dass durch eine einem einen einer eines gegen nach oder ohne über unter wenn weil sein
avant après avec chez dans depuis elle elles leur leurs mais nous notre pour quand sans sous vers votre vous
comme cette
como cuando desde donde entre esta este hacia hasta para pero porque sobre aunque
alla allo come dalla dello della delle degli nella quando questo questa sono sulla
pela pelo mais quem quando seus suas
maar naar omdat voor want zijn deze door over toen
если когда перед после чтобы через этот
"""
LEADING = frozenset(_LEADING.split())
"""Longer words that lead a phrase. The Netflix Timed Text Style Guide breaks lines before conjunctions and
prepositions, and never between an article, adjective, pronoun or auxiliary and what belongs to it."""
NOT_LEADING = frozenset(
    ["not", "now", "too", "ago", "yes", "him", "day", "nie", "pas", "già", "più", "так", "нет"]
)
"""Short words that do not lead one."""
PARTICLES = frozenset([*"はがをにへとものでやかねよ", "から", "まで", "より", "など", "だけ", "です", "ます"])
"""Of Japanese: they belong to what is before them, also if that ends in hiragana, and end a phrase."""


def ends_sentence(text: str) -> bool:
    """Whether a sentence ends with this text, and no quotation or bracket is open: `« Fin. »`, 「そう。」."""
    if any(text.count(pair[0]) > text.count(pair[1]) for pair in PAIRS):
        return False
    text = text.rstrip(CLOSING + " ")
    if _is_abbreviation(text):
        return False
    return text.endswith(SURE_SENTENCE_ENDS) or (text.endswith(SENTENCE_ENDS) and len(text) >= FULL_SENTENCE)


def ends_phrase(text: str) -> bool:
    """Whether a sentence or a clause ends with this text."""
    text = text.rstrip(CLOSING)
    return text.endswith((*CLAUSE_ENDS, *SENTENCE_ENDS, *SURE_SENTENCE_ENDS)) and not _is_abbreviation(text)


def leads(word: str) -> bool:
    """Whether a line should rather begin than end with this word."""
    if _is_abbreviation(word):
        return True
    if not word.isalpha() or not _is_alphabetic(word) or word.casefold() in NOT_LEADING:
        return False
    return len(word) <= SHORT or word.casefold() in LEADING


def follows(word: str, before: str) -> bool:
    """Whether a word of Japanese belongs to the one before it, so that no line should begin with it."""
    if not (word and before and _is_hiragana(word[0])):
        return False
    return word.rstrip("、。") in PARTICLES or _is_kanji_or_katakana(before[-1])


def _is_abbreviation(text: str) -> bool:
    """Whether the last word of a text is written with a stop that ends no sentence."""
    words = [word.lstrip(OPENING) for word in text.split(" ")[-2:]]
    last = words[-1]
    small = last[:1].lower() + last[1:]  # `Bzw.` at the start of a sentence
    if last in ABBREVIATIONS or small in ABBREVIATIONS or LETTERS_WITH_STOPS.fullmatch(last):
        return True
    return ORDINAL.fullmatch(" ".join(words)) is not None


def _is_hiragana(letter: str) -> bool:
    return "\u3041" <= letter <= "\u309f"


def _is_kanji_or_katakana(letter: str) -> bool:
    return "\u30a1" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" or letter == "々"


def _is_alphabetic(word: str) -> bool:
    """Whether it is written in Latin, Greek or Cyrillic letters."""
    return all(ord(letter) < 0x530 or 0x1E00 <= ord(letter) < 0x2000 for letter in word)
