"""The machine: devices, number formats, memory, and several processes that train together.

What is computed on a device is none of its business.
"""
