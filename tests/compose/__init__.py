"""docker-compose.yml: what can be known of it without an image of others."""
