"""The embedded platform as a child process, driven and inspected from outside, with none of the services' code.

`platform` starts and ends it, `processes` looks into /proc, `workflows` speaks REST, `offsets` asks the broker.
"""
