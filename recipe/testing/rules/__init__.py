"""The implementations of the checks. Each function is named after its check."""
