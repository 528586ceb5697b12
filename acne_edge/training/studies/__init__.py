"""Questions asked of the training: what settings are worth, where a network looks, who looks alike."""
