"""Where photographs come from: paths, a folder that they arrive in, a camera."""
