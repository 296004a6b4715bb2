"""Several hosts: placed and controlled by Dask, while the load, its times and its figures stay compbench's own."""
