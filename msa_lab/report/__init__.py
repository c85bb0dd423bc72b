"""What readers see: every plot of the lab (`figures`) and the HTML page (`html_page`).

A figure is made from arrays and plain values and returned as a matplotlib Figure.
`msa_lab.report.html_page` is imported by its own name alone, because it needs nbconvert.
"""

from msa_lab.report import figures

__all__ = ['figures']
