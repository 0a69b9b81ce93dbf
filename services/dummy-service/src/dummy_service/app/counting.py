"""The work of the job: it counts to three, so that a whole workflow can be tried where nothing else is at hand."""

from streamforge_common.job import Completed, Ending, JobRun

_STEPS = 3
_STEP_S = 1.0
"""As often as progress may be reported."""


async def count(run: JobRun) -> Ending:
    """Count up, a step a second, as long as nobody wants it to stop or pause."""
    step = 0
    while (ending := run.ending) is None:
        if step == _STEPS:
            return Completed(f"counted to {_STEPS}")
        if not run.is_paused:
            step += 1
            run.records_written = step
        await run.report_progress(f"{step} of {_STEPS}")
        await run.wait_for_change(_STEP_S)
    return ending
