"""What people look at: every plot of the lab (`figures`) and the HTML page (`html_page`).

A figure takes arrays and plain values and returns a matplotlib Figure; no model comes in here.
Import `msa_lab.report.html_page` by its own name: it needs nbconvert.
"""

from msa_lab.report import figures

__all__ = ['figures']
