"""The public packings of MOSI, made of the stand-in: same fields, shapes, types and spellings."""

import io
import pickle
import struct

import numpy as np

from msa_lab.data.synthetic import make_standin

TINY = dict(videos=(2, 2, 2), utterances=(6, 4, 5))


def narrow(content, vision, text, audio):
    """The stand-in with other feature widths: cut, or filled up with copies of its features."""
    for fields in content.values():
        for name, width in (('vision', vision), ('text', text), ('audio', audio)):
            fields[name] = np.resize(
                fields[name].transpose(2, 0, 1), (width, *fields[name].shape[:2])
            )
            fields[name] = fields[name].transpose(1, 2, 0).copy()
    return content


def multibench(**settings):
    """`mosi_raw.pkl`: 35, 300, 74, float64, ids 'VIDEO[3]', no words."""
    content = make_standin(**settings or TINY)
    for fields in content.values():
        del fields['raw_text']
        fields['id'] = [name.replace('synthetic', 'v_x-') for name in fields['id']]
        for name in ('vision', 'text', 'audio', 'labels'):
            fields[name] = fields[name].astype(np.float64)
    return content


def mult(**settings):
    """`mosi_data.pkl`: 20, 300, 5, float32, labels (N, 1, 1), ids (video, start, end) in bytes."""
    content = narrow(make_standin(**settings or TINY), 20, 300, 5)
    for fields in content.values():
        del fields['raw_text']
        rows = [name.rstrip(']').split('[') for name in fields['id']]
        fields['id'] = np.array(
            [
                (video.replace('synthetic', 'v').encode(), f'{k}.5'.encode(), f'{k}9.25'.encode())
                for video, k in rows
            ]
        )
    return content


def unaligned(content, pad):
    """Audio and vision of 375 and 500 steps; `pad(n)` is how n steps of padding go to the sides."""
    for fields in content.values():
        for name, steps in (('audio', 375), ('vision', 500)):
            sides = pad(steps - fields[name].shape[1])
            fields[name] = np.pad(fields[name], ((0, 0), sides, (0, 0)))
    return content


def mult_noalign(**settings):
    """`mosi_data_noalign.pkl`: text 50 steps, audio 375, vision 500, padded at the front."""
    return unaligned(mult(**settings), lambda n: (n, 0))


def mmsa(**settings):
    """`aligned_50.pkl`: 20, 768, 5, `regression_labels`, words, padded at the back, other keys."""
    content = narrow(make_standin(**settings or TINY), 20, 768, 5)
    for fields in content.values():
        labels = fields.pop('labels').reshape(-1)
        fields['id'] = [
            f'{video.replace("synthetic", "v")}$_${segment}'
            for video, segment in (name.rstrip(']').split('[') for name in fields['id'])
        ]
        filled = fields['vision'].any(-1) | fields['text'].any(-1) | fields['audio'].any(-1)
        first = filled.argmax(axis=1)
        for name in ('vision', 'text', 'audio'):
            fields[name] = np.stack(
                [np.roll(row, -k, axis=0) for row, k in zip(fields[name], first, strict=True)]
            )
        n = len(labels)
        fields |= {
            'regression_labels': labels,
            'classification_labels': np.sign(labels) + 1,
            'annotations': ['Positive' if x > 0 else 'Negative' for x in labels],
            'text_bert': np.zeros((n, 3, 50), np.float32),
        }
    return content


def mmsa_unaligned(**settings):
    """`unaligned_50.pkl`: audio 375 and vision 500 steps, with the true lengths beside them."""
    content = unaligned(mmsa(**settings), lambda n: (0, n))
    for fields in content.values():
        for name in ('audio', 'vision'):
            fields[f'{name}_lengths'] = [fields[name].shape[1]] * len(fields[name])
    return content


ALIGNED = {'MultiBench': multibench, 'MulT': mult, 'MMSA': mmsa}
UNALIGNED = {'MulT': mult_noalign, 'MMSA': mmsa_unaligned}


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 and numpy 1 wrote: byte strings for text and for the arrays' cells."""

    dispatch = pickle._Pickler.dispatch | {}

    def save_string(self, value):
        obj, value = value, value.encode('utf-8') if isinstance(value, str) else value
        if not self.proto:
            self.write(b'S' + repr(value)[1:].encode() + b'\n')
        elif len(value) < 256:
            self.write(b'U' + bytes([len(value)]) + value)
        else:
            self.write(b'T' + struct.pack('<i', len(value)) + value)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string


def dumps_python2(content, protocol):
    """`pickle.dumps` of Python 2 with numpy 1; `protocol` is 0, 1 or 2."""
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(content)
    return file.getvalue().replace(b'cnumpy._core.', b'cnumpy.core.')
