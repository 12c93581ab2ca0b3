"""What distributions may use of the kit besides contracts, hooks and losses: for a command of their own (`commands`),
for evaluations that something else measures (`evaluations`), for model folders (`models`), and for trackers.

What these modules name is frozen as the plugin API is; the rooms that it comes from are not.
"""
