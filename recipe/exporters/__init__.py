"""What a finished run's model is exported to, one format a file."""
