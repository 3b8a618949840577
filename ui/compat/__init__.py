"""What the front ends use of other packages that those do not promise: private attributes,
undocumented internals, patched methods. One module a package or two that belong together, each
with the versions it was checked with; tests/ui/test_compat.py says when it has to be looked at
again.
"""
