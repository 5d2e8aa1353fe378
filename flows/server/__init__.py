"""The Prefect server and the worker; the only room that touches Prefect's internals."""
