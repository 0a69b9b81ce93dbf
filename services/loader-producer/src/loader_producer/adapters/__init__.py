"""What the loader talks to: `archives`, the files of the exchange's archives.

Its REST history and Kafka are talked to through the common library.
"""
