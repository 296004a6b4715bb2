"""The timed part of the driver: schedule kept, times recorded."""
