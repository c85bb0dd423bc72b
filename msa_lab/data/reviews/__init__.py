"""The stand-in `reviews`: real sentences and real ratings, with simulated voice and face.

`source` fetches and reads, `word_vectors` counts, `build` writes the file and encodes a sentence.
The source belongs to others: no sentence of it may be committed or shipped.
"""

from msa_lab.data.reviews.build import REVIEWS_PATH, encode, ensure_reviews, write_reviews
from msa_lab.data.reviews.source import ARCHIVE, CITATION, COMMAND, fetch, read_source

__all__ = [
    'ARCHIVE',
    'CITATION',
    'COMMAND',
    'REVIEWS_PATH',
    'encode',
    'ensure_reviews',
    'fetch',
    'read_source',
    'write_reviews',
]
