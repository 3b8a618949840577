"""Parts of the Attention page."""
