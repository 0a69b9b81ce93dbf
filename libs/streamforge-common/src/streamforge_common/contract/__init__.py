"""The words of the contract as types.

- `grid`, `intervals`: where the ids of records lie; candle intervals and the grid of their open times.
- `spacing`: the continuity of records that lie on no grid.
- `time_range`: the half-open range of a bounded dataset.
- `backfill`: the history that a live dataset begins with.
- `data_types`: `<source>_<kind>`, e.g. `api_candles_5m`.
- `baskets`: datasets of several symbols.
- `records`, `kinds`: the normalised market-data items and their keys; what must be known of each kind of them.
- `commands`: what queue-manager tells tasks, and how a task folds it into one wanted state.
- `repair`: what a `start` command may ask for in place of a whole dataset.
- `events`: what tasks tell queue-manager.
"""
