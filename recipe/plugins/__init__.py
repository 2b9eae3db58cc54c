"""What a trick is: fields, hooks, slots, how it is found, and how its code is called. Needs no torch.

The tricks themselves are in `recipe.tricks`; what several of them mean together is `recipe.plan`.
"""
