"""job-runner: the embedded platform's job runner as a service of its own, for docker-compose.

- `settings`: what the environment says, and what of it jobs inherit.
- `adapters.neighbours`: whether broker and database are there.
- `__main__`: wires both to `streamforge_local.jobs`, where all the rest is.
"""
