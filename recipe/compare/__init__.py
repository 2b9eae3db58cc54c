"""Two recipes side by side: what differs in meaning, in the graph, in cost, in weights, and in training."""
