"""Videos and frame folders, in and out."""
