"""Make the registered label maps from the files that each data set's authors publish."""
