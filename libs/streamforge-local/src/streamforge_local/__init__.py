"""The embedded StreamForge platform and the command line."""
