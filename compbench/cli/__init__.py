"""The side that doit and a person touch: tasks, reporter, display, and the commands beside the suite."""
