"""The machine: devices, precision, memory, and processes that train together.

This package does not depend on what the devices compute.
"""
