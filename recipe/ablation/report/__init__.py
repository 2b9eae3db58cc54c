"""The results of an ablation as a table, text, page and chart."""
