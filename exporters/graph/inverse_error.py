"""The inverse of the error function, for graphs that have no operator for it.

M. Giles, "Approximating the erfinv function" (2010): `y` times a polynomial with float32's digits, highest power first.
With w = -log(1 - y^2) it is `NEAR` of w - 2.5 where w is below 5, and `FAR` of sqrt(w) - 3 elsewhere.
"""

from __future__ import annotations

NEAR = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
        -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
FAR = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
       0.00943887047, 1.00167406, 2.83297682)  # fmt: skip
