"""Data as futu-api passes them to a callback, read as publications.

Publishers may pass them on unchanged: the dict of an order book, the rows of a DataFrame.
"""
