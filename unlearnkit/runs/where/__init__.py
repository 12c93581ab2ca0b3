"""`--where`: runs are found by what they are, said in a small language.

    algorithm=npo and state=complete
    npo.beta<0.2 and (tag=paper or created>=2026-11) and not model~*135M*
    forget_quality>0.05

The whole grammar is in `grammar`, what a field is of a run in `fields`. Nothing of what is typed reaches the database:
runs are read, and judged here.
"""

from unlearnkit.runs.where.query import parse, select

__all__ = ["parse", "select"]
