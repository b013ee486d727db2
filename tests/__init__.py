"""Tests mirror the modules of src/bookcast; each test's docstring is one sentence of behaviour."""
