"""What a person types: a module of words and a module of deeds for each group."""
