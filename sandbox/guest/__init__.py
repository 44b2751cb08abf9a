"""What runs inside the sandbox: only the standard library, numpy, `design_space` and this package."""
