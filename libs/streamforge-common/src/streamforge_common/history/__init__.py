"""Asking an exchange for history over REST, for loaders and for whoever fills a hole.

- `pages`: the plan of pages, and what a page must be.
- `ends`: the first and the last record of a range, for which the exchange is asked.
- `budget`: when the exchange may be asked again.
- `trials`: tries again what can be over later.
- `client`: the requests themselves, inside the limits.
"""
