"""Few-shot medical image segmentation that adapts to your images in seconds."""
