"""Run in the frozen agent before anything else: no warning about a library that was left out on purpose.

requests warns at import that it cannot guess encodings (charset_normalizer); the agent decodes JSON only, which is UTF-8.
"""

import warnings

warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
