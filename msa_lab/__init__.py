"""What the lab needs and a student does not write, in seven folders.

data, files, models, speed, study, checks, report: each `__init__` says what lives there.
Nothing here imports the notebook or `msa_utils`: what it needs of them comes in as arguments.
"""
