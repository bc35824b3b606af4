"""What turns tokens into masks and classes."""
