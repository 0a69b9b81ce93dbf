"""What the loader talks to, over HTTP. Kafka is talked to through the common library.

- `exchange`: REST history.
- `archives`: files of the exchange's archives.
- `trials`: tries again what can be over later, for both.
"""
