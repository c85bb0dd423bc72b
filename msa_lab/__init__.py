"""What the lab needs and a student does not write: data, figures, checks, studies."""
