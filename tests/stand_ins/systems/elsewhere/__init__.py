"""The flat server as one that the user runs, which compbench can not connect to yet."""
