"""Cut off what no program loads from the libraries below a directory: symbols for debuggers.

    python strip.py DIRECTORY

Wheels come with them (uvloop's library has 16 MB, of which 2 are used), and `strip` is in none of
the small images. Whatever is loaded lies within the segments of an ELF file; sections, which only
linkers and debuggers read, come behind. Source: elf(5).
"""

import struct
import sys
from pathlib import Path

ELF_64_LITTLE = b"\x7fELF\x02\x01"
SECTIONS_AT, SECTION_COUNT_AT = 40, 60


def stripped(library: bytes) -> bytes:
    """The library up to the end of its last segment, with a header that names no sections."""
    (segments_at,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    end = 0
    for index in range(count):
        offset, _, _, length = struct.unpack_from("<4Q", library, segments_at + index * size + 8)
        end = max(end, offset + length)
    kept = bytearray(library[:end])
    struct.pack_into("<Q", kept, SECTIONS_AT, 0)
    struct.pack_into("<HH", kept, SECTION_COUNT_AT, 0, 0)
    return bytes(kept)


def main(directory: Path) -> None:
    """Strip all libraries there."""
    for path in directory.rglob("*.so*"):
        library = path.read_bytes()
        if library.startswith(ELF_64_LITTLE):
            path.write_bytes(stripped(library))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
