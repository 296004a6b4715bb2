"""What earlier runs amounted to."""
