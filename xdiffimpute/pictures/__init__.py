"""Pictures, one a file: numbers that were computed elsewhere become a matplotlib Figure.

The file's name is the name of the function in it. None of them needs pyplot, a display or
torch, and matplotlib is imported only when one is drawn.
"""
