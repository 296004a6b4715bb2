"""The page of a run that is under way: a program of its own, which reads the run's folder and changes nothing."""
