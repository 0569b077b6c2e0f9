"""What is measured on a trained model: the contract, what an evaluation is given, and what it returns."""
