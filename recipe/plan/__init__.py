"""From statements to meaning: tricks with all their values, in the order in which they apply. Needs no torch."""
