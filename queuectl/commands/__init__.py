"""What a line means: one click declaration per command."""
