"""What image files say of their pixels before these are decoded: size, orientation, colour profile.

Pillow reads headers too, but it stops at oddities that do the pixels no harm, warns through filters that belong to the host, and
knows no limits of time. The JPEG and EXIF readers here are those of the C library, rule by rule.
"""
