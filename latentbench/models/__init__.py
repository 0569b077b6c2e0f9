"""What a model is made of: latent family, codes, gradient estimator, likelihood and networks, and the model that is assembled from them."""
