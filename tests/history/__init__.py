"""Tests of what several nodes promise while everything around them breaks.

Publishers and clients write down what they did and heard (``history``), faults come by a seed
(``faults``), and a checker that knows nothing of the server judges (``checker``).
"""
