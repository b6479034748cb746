"""From a recipe and training images to trained weights. No label is read here."""
