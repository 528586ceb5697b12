"""Studies of training: comparisons of settings, analyses of finished networks, and photographs of one person."""
