"""Memory designs of other systems, run unchanged: adapters, and look-alikes of the modules that they import.

They travel into the sandbox with such designs only, so that what any other design is scored in stays as it is.
"""
