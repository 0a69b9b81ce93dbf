"""Trials under faults, and the proof that nothing was lost or stored wrongly: `python -m tests.chaos --help`.

Read `trial.py` first, the way of one trial; `oracle.py` says what must hold after it. `faults_*.py` inject, `kinds.py`
is the table of them; `arena.py` is the platform that trials run on, `up.py` its start with two additions for trials;
`lanes.py` runs trials side by side, `report.py` tells what came of them; `mutations.py` shows that the trials can fail.
"""
