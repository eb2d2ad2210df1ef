"""What boards say and are told: the question, the plan, events, logs, tokens."""
