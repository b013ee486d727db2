"""What futu-api hands to a callback, read as a publication.

Publishers may pass it on as it is: the dict of an order book, the rows of a DataFrame.
"""
