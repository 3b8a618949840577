"""Everything the front ends use of other packages without their promise: private attributes,
undocumented internals, patched methods. One module for a package or for two that belong together,
each with the versions it was checked with; tests/ui/test_compat.py fails when a module has to be
reviewed.
"""
