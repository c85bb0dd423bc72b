"""How a sentence is cut into the words that a model reads."""

import re

# Letters and digits, and the parts that English hangs on a word: is n't, it 's, we 're.
WORD = re.compile(r"n't|[^\W_]+(?=n't)|'(?:s|re|ve|ll|d|m)\b|[^\W_]+")


def split_words(sentence: str) -> list[str]:
    """The words of a sentence in lower case: "It isn't bad." -> it, is, n't, bad."""
    return WORD.findall(sentence.lower().replace('\N{RIGHT SINGLE QUOTATION MARK}', "'"))
