"""The noise of mini-batch gradients: closed forms, measurements on a problem, and what they recommend.

`variance`, `bias`, `rates`, `steady` are the theory, a function per statement.
"""
