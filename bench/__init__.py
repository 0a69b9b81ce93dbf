"""The benchmarks of `make bench`: every figure a ratio to a ceiling that was measured in the same run.

- `__main__`: the command line; runs sections and writes `RESULTS.md` and `results.json`.
- `loader`, `connector`, `whole_way`, `weight`, `workflows`: one section each.
- `loader_sides`, `connector_sides`, `exchange_side`: what runs in a process of its own, ours and the ceilings.
- `counting_server`: what a connector is measured against that has no database behind it.
- `rounds`: interleaved rounds, medians, spread. `sides`: fresh processes. `stage`: servers to measure against.
- `market`: the pages and records that everything is measured with. `observing`: CPU time and memory of processes.
- `results`: how it is written down.
"""
