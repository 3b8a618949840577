"""What a network gets wrong, for whom, and why: from the prediction tables in ``reports/``, without
the network and without its images.
"""
