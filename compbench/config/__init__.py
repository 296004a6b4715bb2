"""The files and words that a user writes: settings, scenario files, folders, TOML."""
