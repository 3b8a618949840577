"""Training: recipes, augmentation, losses, the loop. Imports neither a detector nor a web
framework.
"""
