"""Components of the Gradio front end."""
