"""Reading and writing of files, for runner and driver alike."""
