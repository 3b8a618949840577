"""From an image file to an aligned crop and its tensor: decoding, face detection, alignment,
preprocessing.
"""
