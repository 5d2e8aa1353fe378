"""What people use of the library.

The steps as functions, a model that predicts, and a classifier that is used as those of scikit-learn are.
"""
