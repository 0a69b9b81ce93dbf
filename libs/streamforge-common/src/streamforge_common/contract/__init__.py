"""The words of the contract as types.

- `intervals`: candle intervals and the grid of their open times.
- `time_range`: the half-open range of a bounded dataset.
- `data_types`: `<source>_<kind>`, e.g. `api_candles_5m`.
- `records`: the normalised market-data items and their keys.
- `commands`: what queue-manager tells tasks, and how a task folds it into one wanted state.
- `events`: what tasks tell queue-manager.
"""
