"""Where a phrase ends, by its punctuation, and which words lead a phrase rather than end one."""

SENTENCE_ENDS, SURE_SENTENCE_ENDS = (".", "!", "?", "…"), ("。", "！", "？", "؟", "۔", "।")  # noqa: RUF001
"""The sure ones never end an abbreviation."""
CLAUSE_ENDS = (",", ";", ":", "，", "、", "；", "：", "،", "؛")  # noqa: RUF001
CLOSING = "\"'”’»)]」』》）"  # noqa: RUF001
PAIRS = ("«»", "()", "[]", "「」", "『』", "《》", "（）")  # noqa: RUF001
FULL_SENTENCE = 20
"""Characters; a shorter text that ends with a full stop is more likely an abbreviation."""
SHORT = 3
"""Letters: in most languages with an alphabet, words so short are articles, prepositions, conjunctions or
pronouns."""
_LEADING = """
about after because before between from into onto over since that than their them then they this these those
under until when where which while will with without would your have been were there
aber auch denn dass durch eine einem einen einer eines gegen nach nicht oder ohne über unter wenn weil sein
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


def ends_sentence(text: str) -> bool:
    """Whether a sentence ends with this text, and no quotation or bracket is open: `« Fin. »`, 「そう。」."""
    if any(text.count(pair[0]) > text.count(pair[1]) for pair in PAIRS):
        return False
    text = text.rstrip(CLOSING + " ")
    return text.endswith(SURE_SENTENCE_ENDS) or (text.endswith(SENTENCE_ENDS) and len(text) >= FULL_SENTENCE)


def ends_phrase(text: str) -> bool:
    """Whether a sentence or a clause ends with this text."""
    return text.rstrip(CLOSING).endswith((*CLAUSE_ENDS, *SENTENCE_ENDS, *SURE_SENTENCE_ENDS))


def leads(word: str) -> bool:
    """Whether a line should rather begin than end with this word."""
    return word.isalpha() and (len(word) <= SHORT or word.casefold() in LEADING) and _is_alphabetic(word)


def _is_alphabetic(word: str) -> bool:
    """Whether it is written in Latin, Greek or Cyrillic letters."""
    return all(ord(letter) < 0x530 or 0x1E00 <= ord(letter) < 0x2000 for letter in word)
