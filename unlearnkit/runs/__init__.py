"""The use cases: what the Python API offers and all that the command line calls.

Each checks everything that can be checked, then finds or makes its run in the store, then does what is missing.
"""

from __future__ import annotations
