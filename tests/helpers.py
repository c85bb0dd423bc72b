"""What several test files assert of a model or a data set, or need to train a model."""

import numpy as np
import torch
from torch import nn


def assert_utterances_do_not_mix(model, batch, atol=1e-5):
    """Assert that the score of an utterance is the same alone and in a batch, within `atol`.

    `batch` is (vision, text, audio). How much padding the utterances of a batch share depends on
    which they are, so this also finds a model that reads padding.
    """
    with torch.no_grad():
        together = model(*batch)
        alone = torch.cat([model(*(x[i : i + 1] for x in batch)) for i in range(len(together))])
    torch.testing.assert_close(alone, together, atol=atol, rtol=0)


def assert_more_padding_changes_nothing(model, batch, atol=1e-5):
    """Assert that seven more steps of padding in front leave every score as it is."""
    with torch.no_grad():
        scores = model(*batch)
        longer = model(*(nn.functional.pad(x, (0, 0, 7, 0)) for x in batch))
    torch.testing.assert_close(longer, scores, atol=atol, rtol=0)


def assert_format_of_the_real_file(content, sizes):
    """A stand-in has the splits, fields, shapes and dtypes of `mosi_raw.pkl`, and sentences."""
    assert list(content) == ['train', 'valid', 'test']
    for fields, n in zip(content.values(), sizes, strict=True):
        assert fields['vision'].shape == (n, 50, 35)
        assert fields['text'].shape == (n, 50, 300)
        assert fields['audio'].shape == (n, 50, 74)
        assert fields['labels'].shape == (n, 1, 1)
        assert all(fields[f].dtype == np.float32 for f in ('vision', 'text', 'audio', 'labels'))
        assert len(fields['id']) == len(fields['raw_text']) == n
