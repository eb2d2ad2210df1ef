"""The fault matrix: the frozen agent on a simulated board, in a network that misbehaves, without a virtual machine."""
