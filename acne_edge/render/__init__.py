"""Pictures, with Pillow alone: of pixels, positions and strings, so that a prediction can draw itself."""
