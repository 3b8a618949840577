"""Parts of the Guess page."""
