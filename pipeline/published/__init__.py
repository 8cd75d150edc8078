"""Data sets that others published: their files (`formats`), and what stages take from them."""
