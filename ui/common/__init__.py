"""What all pages share: theme, messages, charts, query parameters, services."""
