"""Where photographs come from: paths, a watched folder, a camera."""
