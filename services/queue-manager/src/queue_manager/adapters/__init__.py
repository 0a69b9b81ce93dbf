"""What queue-manager talks to, one module per outside system."""
