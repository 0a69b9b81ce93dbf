"""Takes workflows over REST and brings them to their end."""
