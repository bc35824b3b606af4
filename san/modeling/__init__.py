"""Models: ``meta_arch`` -> ``backbone``, ``heads``, ``text`` -> ``layers``; imports point that way."""
