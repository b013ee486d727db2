"""Tests of the Futu feed, against a simulated OpenD and the real futu-api."""
