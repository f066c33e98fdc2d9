"""Whether a text can be read: Latin letters, and English. What cannot be read is masked whole."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from functools import lru_cache
from pathlib import Path

from services.kernel.errors import ConfigError
from services.redactor.text.normalise import fold

_WORD = re.compile(r"[^\W\d_]+")
_LOWER_WORD = re.compile(r"(?<![\w'.@/-])[^\W\d_A-Z][^\W\d_A-Z']*(?![\w@/-])")
#: Shares of common English words: above the first no other language is considered, below the second it is.
_ENGLISH_SHARE = 0.22
_FOREIGN_SHARE = 0.12
_CONFIDENT = 0.97
_SENTENCE = re.compile(r"(?<=[.!?:;])[\"')\]]?\s+|\n+")
#: A shorter sentence among others is not asked for its language.
_LONG = 8
_FOREIGN = Path(__file__).parent / "lexicon" / "foreign.txt"


@lru_cache(maxsize=8192)
def _latin(char: str) -> bool:
    if char < "\u0250" or not char.isalpha() or unicodedata.normalize("NFKC", char).isascii():
        return True
    return unicodedata.name(char, "").startswith("LATIN")


def other_script(text: str) -> bool:
    """Whether a word is written in letters other than Latin.

    A lookalike letter inside a Latin word is an attempt to hide it and is read; a single Greek letter is a symbol.
    """
    if text.isascii():
        return False
    for match in _WORD.finditer(text):
        word = match.group()
        strange = [char for char in word if not _latin(char)]
        if not strange:
            continue
        if len(word) == 1 and unicodedata.name(word, "").startswith("GREEK"):
            continue
        if len(strange) == len(word) or not all(fold(char).isascii() for char in strange):
            return True
    return False


def foreign(text: str, common: frozenset[str]) -> bool:
    """Whether a text in Latin letters, or a sentence of it, is with confidence not English.

    1. A sentence, in any case, of which a third or more are everyday words of other languages.
    2. The whole, and every sentence of eight lower-case words and more, by its letters.

    Names, shorthand and short values count as English. `common` holds frequent English words.
    """
    sentences = _SENTENCE.split(text)
    if any(_everyday(sentence, common) for sentence in sentences):  # 1
        return True
    long = (sentence for sentence in sentences if len(_LOWER_WORD.findall(sentence)) >= _LONG)
    return _not_english(text, common) or (len(sentences) > 1 and any(_not_english(one, common) for one in long))  # 2


def _everyday(sentence: str, common: frozenset[str]) -> bool:
    words = [(word if word.isascii() else "".join(map(fold, word))).lower() for word in _WORD.findall(sentence)]
    known = [word for word in words if word in _foreign_words() and word not in common]
    return len(set(known)) >= 2 and 3 * len(known) >= len(words)


@lru_cache(maxsize=1)
def _foreign_words() -> frozenset[str]:
    lines = _FOREIGN.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def _not_english(text: str, common: frozenset[str]) -> bool:
    """By its letters; asked only about texts with at least six lower-case words, or twelve in capitals."""
    words = [word.lower() for word in _LOWER_WORD.findall(text)]
    if len(words) < 6:
        capitals = [word.lower() for word in _WORD.findall(text)]
        if not text.isupper() or len(capitals) < 12:
            return False
        words = capitals
    share = sum(word in common for word in words) / len(words)
    if share >= _ENGLISH_SHARE:
        return False
    language, confidence = _identify(" ".join(words))
    if language == "en":
        return False
    return confidence >= _CONFIDENT and share < _FOREIGN_SHARE


def prepare() -> None:
    """Load what `foreign` needs, so that a machine where it cannot be loaded shows before the first record.

    Raises:
        ConfigError: there is no room for the file that the library unpacks.
    """
    try:
        _identifier()
    except OSError as error:
        place = tempfile.gettempdir()
        raise ConfigError(
            "redactor", [f"the language model cannot be unpacked in `{place}`: {error.strerror}"]
        ) from error


@lru_cache(maxsize=1)
def _identifier() -> object:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _identify(text: str) -> tuple[str, float]:
    language, confidence = _identifier().classify(text)  # type: ignore[attr-defined]
    return str(language), float(confidence)
