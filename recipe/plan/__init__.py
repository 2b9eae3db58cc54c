"""From statements to a plan: tricks with all their values, in the order in which they apply. Works without torch."""
