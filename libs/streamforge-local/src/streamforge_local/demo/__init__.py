"""`make demo`: the main job of the platform end to end, in a minute, with a report that a newcomer can read.

- `story`: the order of things.
- `platform_process`: `streamforge up` on a temporary home, and its end.
- `choice`: which workflows suit the exchange that the platform has.
- `cross_check`: whether the candles are what the trades of the same time make.
- `proof`: what was expected, served, published and stored, asked from the database itself.
- `report`: all of it on a screen.
"""
