"""The local stand-in for the Kubernetes Job controller: `store` keeps jobs, `runner` runs them, `api` serves them.

queue-manager speaks to it over HTTP on loopback. A request names a target, never a command: which program a target is
stands in the table that the runner is made with.
"""
