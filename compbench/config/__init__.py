"""What a person writes: settings, scenario files, folders, TOML."""
