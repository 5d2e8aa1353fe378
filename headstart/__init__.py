"""Headstart: transfer learning on a folder of labelled images. The library; it knows neither DVC nor Prefect."""
