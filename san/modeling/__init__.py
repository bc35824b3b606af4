"""Models; imports point one way: ``meta_arch`` -> ``backbone``, ``heads``, ``text`` -> ``layers``."""
