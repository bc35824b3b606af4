"""Models. Imports: ``meta_arch``, then ``backbone``, ``heads``, ``text``, then ``layers``."""
