"""What every room stands on: files, arrays, cores, devices, the fingerprint of code."""
