"""Write digits.npz, the data set that comes with this package, from scikit-learn's copy.

Run once, by hand, where scikit-learn is installed: `python -m trainers.data.embed_digits`. See ORIGIN.md beside it.
"""

from __future__ import annotations

import io
import zipfile

import numpy as np

from trainers.data.digits import EMBEDDED


def main() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    arrays = {"images": digits.images.astype(np.uint8), "labels": digits.target.astype(np.uint8)}
    with zipfile.ZipFile(EMBEDDED, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            # A fixed date, so that the same data gives the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1998, 7, 1, 0, 0, 0)), buffer.getvalue(), 8, 9)


if __name__ == "__main__":
    main()
