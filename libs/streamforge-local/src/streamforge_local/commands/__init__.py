"""The commands of `streamforge`, one module each, or one per handful of like ones; `app` puts them together.

- `up` starts a platform; everything else talks to one that runs.
- `running`, `listing`, `watching`, `steering`, `logs`, `keys`, `doctor`: those commands; `registering` knows them all.
- `options`, `connection`, `naming`, `output`, `progress`, `ending`, `failures`: what they share.

Every command keeps one promise: with `--json`, stdout is one JSON document or JSON lines and nothing else.
"""
