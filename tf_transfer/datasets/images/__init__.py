"""Reads images: decoding, resizing, augmentation, perceptual hashes."""
