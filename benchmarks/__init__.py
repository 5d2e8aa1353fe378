"""What proves the speed. Run a file: python benchmarks/<file>.py"""
