"""Reads image headers before pixels are decoded: size, orientation, colour profile.

Pillow reads headers too, but it stops at harmless oddities, warns through the host's warning filters, and has no time limits.
The JPEG and EXIF readers here follow the same rules as those of the C library.
"""
