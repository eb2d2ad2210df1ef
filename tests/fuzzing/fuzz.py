"""Runs one target under atheris, which follows what each input reaches: python -m tests.fuzzing.fuzz TARGET FINDINGS ARGUMENTS.

ARGUMENTS are libFuzzer's. What raises an error that is not the target's own ends the run, and is kept in the folder FINDINGS.
"""

import sys

import atheris

with atheris.instrument_imports(include=["bootpilot_agent"]):
    from tests.fuzzing.targets import CORPORA, TARGETS, run_target


def main() -> None:
    """Does not come back: libFuzzer ends the process."""
    name, findings, *arguments = sys.argv[1:]
    target = TARGETS[name]
    # Ten seconds for one input of at most 8 KiB, and 512 MiB, are far more than any of them needs.
    limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=8192", f"-artifact_prefix={findings}/"]
    atheris.Setup([sys.argv[0], *limits, *arguments, str(CORPORA / name)], lambda content: run_target(target, content))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
