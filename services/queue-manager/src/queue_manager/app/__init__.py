"""What queue-manager decides; nothing here talks to the outside."""
