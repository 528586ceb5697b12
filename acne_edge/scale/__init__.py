"""Many machines: photographs by the million. Needs the extra `ray`."""
