"""Large arrays that come and go by the thousand, without asking the system for memory each time."""

from __future__ import annotations

import numpy as np

_BYTES = 31 << 20  # glibc learns from blocks of up to 32 MB.


def keep_freed() -> None:
    """Has the C library keep freed memory for the next array.

    glibc hands large blocks back to the system and gets them anew page by page, which takes as
    long as decoding a JPEG into them.  It stops doing so for blocks of the size of the largest it
    has seen freed, so it is shown one.  What it keeps in vain stays under twice that size per
    thread.  Nothing happens under another C library, or if the user has set its tunables.
    """
    block = np.empty(_BYTES, np.uint8)
    del block
