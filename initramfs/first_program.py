"""What tells the loader's /init, in an image that is no loader, which program it is to start. Pure."""

FIRST_PROGRAM = "etc/bootpilot/first-program"


def first_program(path: str, called: str) -> bytes:
    """The file's content: the words of overlay/init and what stands for them here."""
    again = "build the image again"
    words = {"agent": path, "called": called, "image": "the image", "again": again, "made": again}
    return "".join(f"{name}='{value}'\n" for name, value in words.items()).encode()
