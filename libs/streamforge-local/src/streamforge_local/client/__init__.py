"""queue-manager's REST API, seen from a terminal.

- `finding`: where queue-manager is.
- `api`: the calls; failures become the sentences of `errors`.
- `documents`: the answers as types.
- `following`: a workflow on its way, seen by asking again.
"""
