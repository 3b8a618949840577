"""Error analysis: what a model gets wrong, for whom, and why, from the prediction tables in
``reports/``, without the model and without images.
"""
