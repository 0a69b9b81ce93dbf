"""Tests of the whole: `e2e` as a person has it, `chaos` under faults; `embedded` is the platform that both drive."""
