"""What is shown of stored results."""
