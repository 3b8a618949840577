"""From a crop to an answer: model zoo, forward pass, read-out, predictor."""
