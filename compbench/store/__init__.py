"""The folder of runs on disk: names, manifests, whole writes, resume, lock, leftovers."""
