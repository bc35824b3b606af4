"""From words to classifier weights."""
