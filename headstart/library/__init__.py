"""What people use of the library: the steps as functions, a model that predicts, a classifier in scikit-learn's manner."""
