"""Constants of a model for somebody's own camera and population, from photographs that they counted; nothing is trained."""
