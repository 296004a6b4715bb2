"""The embedded server in the shape of the stand-in that can be told to answer wrongly."""
