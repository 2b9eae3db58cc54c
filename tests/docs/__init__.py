"""The documentation: pages that are generated, and the tests of all pages."""
