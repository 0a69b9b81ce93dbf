from streamforge_local.testing import kafka_broker

__all__ = ["kafka_broker"]
