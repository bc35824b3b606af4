"""Encoders of images: CLIP, and the side adapter."""
