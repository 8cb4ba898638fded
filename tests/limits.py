"""How long a child process may take before it is said to hang.

A machine that many share may be ten times slower than a quiet one; a test that fails there says nothing of the code.
"""

HANG = 900.0  # seconds
