"""The command line, one file a command; ``application`` puts them together."""
