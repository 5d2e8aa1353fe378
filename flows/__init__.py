"""The Prefect flow and the command line, the only callers of Prefect and of the dvc command."""
