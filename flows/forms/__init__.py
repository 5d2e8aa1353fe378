"""Forms for the Prefect UI, and the values that one run is given."""
