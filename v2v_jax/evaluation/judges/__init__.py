"""What reads a translation: segmenters, domain classifiers, layout features."""
