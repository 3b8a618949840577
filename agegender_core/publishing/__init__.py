"""What is published: weights with their cards, reports, published results, tables of the README and
docs.
"""
