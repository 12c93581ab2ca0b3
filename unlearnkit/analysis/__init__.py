"""Statistics of difficulty, from arrays alone: what comes before forgetting against how forgetting went.

Nothing here knows of stores, models or commands. What does not exist is NaN in an array and None in a result.
"""
