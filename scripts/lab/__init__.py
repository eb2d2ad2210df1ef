"""The QEMU harness: simulated machines as rows, their boots and their verdicts. Used by the demo, the bench and the tests."""
