"""A market that was recorded: archive files, answered with their own decimal strings.

`layouts` knows the columns, `files` reads, `tables` keeps, `market` answers.
"""
