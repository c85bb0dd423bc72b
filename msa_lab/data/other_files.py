"""Files that people take for a pickle of MOSI: what each is, and what to do about it."""

import re

UNPACK = 'unpack it and give the .pkl file inside'
NEEDED = 'the lab reads a pickle of arrays, mosi_raw.pkl'
SAVE_AGAIN = 'and write a plain dict of arrays with pickle.dump'
LINE_ENDS = (
    'its line ends were changed (each LF became CR LF), so its content is damaged: it was sent as '
    'text; download or copy it again as a binary file'
)
FROM_TORCH = (
    'was written by torch.save: where you trust it, open it with torch.load, turn its tensors '
    f'into arrays with x.numpy() {SAVE_AGAIN}'
)

# The first bytes of a file, and what it then is.
OTHER_FILES = {
    b'version https://git-lfs': 'is a Git LFS pointer, not the file itself: run "git lfs pull" '
    'where it comes from, or download the file from its web page',
    b'PK\x03\x04': f'is a zip archive: {UNPACK}',
    b'\x1f\x8b': f'is compressed (gzip): {UNPACK}',
    b'BZh': f'is compressed (bzip2): {UNPACK}',
    b'\xfd7zXZ': f'is compressed (xz): {UNPACK}',
    b'(\xb5/\xfd': f'is compressed (zstd): {UNPACK}',
    b"7z\xbc\xaf'\x1c": f'is a 7z archive: {UNPACK}',
    b'Rar!': f'is a rar archive: {UNPACK}',
    b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.': FROM_TORCH,
    b'\x89HDF': f'is an HDF5 file (a .csd of the CMU SDK?): {NEEDED}',
    b'\x93NUMPY': 'is a single numpy array: the lab reads a pickle of all splits',
    b'%PDF': f'is a PDF: {NEEDED}',
    b'PAR1': f'is a Parquet table: {NEEDED}',
    b'MATLAB 5.0 MAT': f'is a file of MATLAB: open it with scipy.io.loadmat {SAVE_AGAIN}',
}
# What a zip archive is whose first file has such a name.
OTHER_ARCHIVES = {
    r'[^/]+/(data\.pkl|byteorder|\.format_version)': FROM_TORCH,
    r'.+\.npy': f'is an .npz file of numpy: open it with np.load {SAVE_AGAIN}',
    r'\[Content_Types\]\.xml|xl/.*': f'is a table of a spreadsheet program: {NEEDED}',
}


def recognise_other_file(start: bytes) -> str | None:
    """What a file is that begins with these bytes and is no pickle, and what to do; else None.

    `start` are the first 512 bytes of the file, or all of them.
    """
    if not start:
        return 'is empty (0 bytes): the download failed; download it again'
    if not any(start):
        return 'begins with zero bytes alone: the download did not come; download it again'
    text = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith((b'<!doctype', b'<html', b'<?xml', b'<head', b'<script')):
        return (
            'is a web page that was saved in place of the file: open the link in a browser, use '
            'the download button of the page, and check that the size is some 100 MB'
        )
    if re.match(rb'\([dl]p?\d*\r\n', start):  # a pickle of protocol 0
        return LINE_ENDS
    if start.startswith(b'PK\x03\x04'):
        first = start[30 : 30 + int.from_bytes(start[26:28], 'little')].decode('latin1')
        for pattern, advice in OTHER_ARCHIVES.items():
            if re.fullmatch(pattern, first):
                return advice
    if re.match(rb'x[\x01\x5e\x9c\xda]', start):
        return (
            'is compressed (zlib), as joblib.dump does it: where you trust it, open it with '
            f'joblib.load {SAVE_AGAIN}'
        )
    if re.match(rb'[\x20-\x7e]+[,;\t][\x20-\x7e\t]*(\r?\n|$)', text):
        return (
            'is a table in text form: labels and sentences alone cannot be learned from here; '
            f'{NEEDED}'
        )
    return next((advice for magic, advice in OTHER_FILES.items() if start.startswith(magic)), None)
