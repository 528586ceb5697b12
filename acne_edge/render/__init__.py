"""Draws pictures from pixels, positions and strings, with Pillow alone, so that a prediction can draw itself."""
