"""The flat server under another name, which declares that its figures are not to be compared."""
