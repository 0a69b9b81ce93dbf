"""The smallest StreamForge service: the worked example and the probe."""
