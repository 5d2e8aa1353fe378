"""What every room uses: files, arrays, cores, devices, the fingerprint of code."""
